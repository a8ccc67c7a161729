-- :checkhealth tenken: what is missing, and what to do about it.
local M = {}

local WAIT_MS = 10000

local function check_server(texts)
  local cmd = vim.lsp.config.tenken.cmd
  if type(cmd) ~= 'table' then
    return
  end
  if vim.fn.executable(cmd[1]) == 0 then
    vim.health.error(texts.no_server:format(cmd[1]), { texts.install, texts.where })
    return
  end
  local asked = vim.list_extend(vim.list_slice(cmd), { '--version' })
  local answer = vim.system(asked, { text = true, timeout = WAIT_MS }):wait()
  if answer.code == 0 then
    vim.health.ok(texts.server:format(cmd[1], vim.trim(answer.stdout)))
  else
    vim.health.error(texts.broken:format(cmd[1], vim.trim(answer.stderr)), texts.install)
  end
end

local REPORT = { ok = vim.health.ok, warning = vim.health.warn, error = vim.health.error }

local function check_client(client, texts)
  local folders = vim.tbl_map(function(folder)
    return folder.name
  end, client.workspace_folders or {})
  vim.health.info(texts.folders:format(table.concat(folders, ', ')))
  local status = require('tenken.status').get()
  if not status then
    vim.health.info(texts.silent)
    return
  end
  local report = REPORT[status.health] or vim.health.info
  report(vim.trim(texts.state:format(status.state, status.message)))
  if status.engine ~= '' then
    vim.health.info(texts.engine:format(status.engine))
  end
  if status.adapter ~= '' then
    vim.health.info(texts.adapter:format(status.adapter))
  end
end

--- Check everything a review needs.
function M.check()
  local all = require('tenken.texts').get()
  local texts = all.health
  vim.health.start('Tenken')
  if vim.fn.has('nvim-0.11') == 0 then
    vim.health.error(all.too_old)
    return
  end
  vim.health.ok(texts.version:format(tostring(vim.version())))
  if vim.fn.executable('git') == 1 then
    vim.health.ok(texts.git)
  else
    vim.health.error(texts.no_git)
  end
  check_server(texts)
  if vim.lsp.is_enabled('tenken') then
    vim.health.ok(texts.enabled)
  else
    vim.health.warn(texts.not_enabled, texts.enable)
  end
  local clients = require('tenken.server').clients()
  if #clients == 0 then
    vim.health.info(texts.no_client)
  end
  for _, client in ipairs(clients) do
    check_client(client, texts)
  end
end

return M
