-- How the server is started and which folders it has: one server for all folders, because each may hold a model.
local M = {}

local START_MS = 3000

local waiting = {} ---@type table<integer, string[]> folders of clients that are not initialized yet

--- Return the running clients.
function M.clients()
  return vim.lsp.get_clients({ name = 'tenken' })
end

local function running(bufnr)
  return vim.lsp.get_clients({ name = 'tenken', bufnr = bufnr })[1] or M.clients()[1]
end

local function can_run()
  local cmd = vim.lsp.config.tenken.cmd
  return type(cmd) ~= 'table' or vim.fn.executable(cmd[1]) == 1
end

--- Return the client of a buffer, else any, once it has started; nil and a message where none does.
function M.client(bufnr)
  local is_wanted = vim.lsp.is_enabled('tenken') or vim.g.tenken_enable ~= false
  local may_start = is_wanted and vim.bo[bufnr].buftype == '' and vim.bo[bufnr].filetype ~= ''
  if not running(bufnr) and may_start and can_run() then
    vim.wait(START_MS, function()
      return running(bufnr) ~= nil
    end, 20)
  end
  local found = running(bufnr)
  if not found then
    vim.notify(require('tenken.texts').get().not_running, vim.log.levels.WARN)
  end
  return found
end

local function add(client, folder)
  local added = { { uri = vim.uri_from_fname(folder), name = folder } }
  client:notify('workspace/didChangeWorkspaceFolders', { event = { added = added, removed = {} } })
  client.workspace_folders = vim.list_extend(client.workspace_folders or {}, added)
end

local function has(client, folder)
  local uri = vim.uri_from_fname(folder)
  return vim.iter(client.workspace_folders or {}):any(function(known)
    return known.uri == uri
  end)
end

local function reuse(client, config)
  if client.name ~= config.name or client:is_stopped() then
    return false
  end
  local folder = config.root_dir
  if not folder or has(client, folder) then
    return true
  end
  if client.initialized then
    add(client, folder)
  else
    waiting[client.id] = waiting[client.id] or {}
    table.insert(waiting[client.id], folder)
  end
  return true
end

local function initialized(client)
  for _, folder in ipairs(waiting[client.id] or {}) do
    if not has(client, folder) then
      add(client, folder)
    end
  end
  waiting[client.id] = nil
end

--- Give the repository a buffer lies in, nil where there is none; no answer where it is no file.
local function root_dir(bufnr, on_dir)
  local name = vim.api.nvim_buf_get_name(bufnr)
  if name == '' or name:match('^%a[%w+.-]+://') then
    return
  end
  on_dir(vim.fs.root(bufnr, '.git'))
end

--- Enable the server, and say it where it cannot be run: Neovim only logs that.
function M.enable()
  vim.lsp.enable('tenken')
  if not can_run() then
    local program = vim.lsp.config.tenken.cmd[1]
    vim.notify(require('tenken.texts').get().not_installed:format(program), vim.log.levels.WARN)
  end
end

--- Return what Neovim needs to know to start the server.
function M.config()
  local results = require('tenken.results')
  return {
    cmd = { 'tenken-lsp' },
    root_dir = root_dir,
    reuse_client = reuse,
    settings = { tenken = vim.empty_dict() },
    init_options = { client = { status = true, results = true } },
    -- Neovim 0.11 does not say which language its user reads.
    before_init = function(params)
      params.locale = params.locale or require('tenken.texts').locale()
    end,
    on_init = initialized,
    on_exit = function(_, _, id)
      waiting[id] = nil
      vim.schedule(function()
        require('tenken.status').forget(id)
      end)
    end,
    handlers = {
      ['tenken/status'] = function(_, status, context)
        require('tenken.status').take(context.client_id, status)
      end,
    },
    -- Code actions with a result come through here, as those of :Tenken do.
    commands = {
      ['tenken.explain'] = results.run,
      ['tenken.copyPrompt'] = results.run,
    },
  }
end

return M
