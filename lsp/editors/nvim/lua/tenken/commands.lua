-- :Tenken and its subcommands: each a function of what was typed.
local M = {}

local findings = require('tenken.findings')
local results = require('tenken.results')
local server = require('tenken.server')

local REASONS = { 'notTrue', 'intended', 'wrongLine', 'badSuggestion', 'other' }

local function here()
  local bufnr = vim.api.nvim_get_current_buf()
  local is_file = vim.bo[bufnr].buftype == '' and vim.api.nvim_buf_get_name(bufnr) ~= ''
  return is_file and vim.uri_from_bufnr(bufnr) or nil
end

local function send(name, argument)
  local client = server.client(vim.api.nvim_get_current_buf())
  if client then
    results.request(client, name, argument)
  end
  return client
end

local function review(name, argument)
  local client = send(name, argument)
  if client then
    require('tenken.progress').watch(client)
  end
end

local function on_finding(name, more)
  findings.at_cursor(function(finding)
    send(name, vim.tbl_extend('error', finding, more or {}))
  end)
end

local function file_review(typed)
  local uri = here()
  if uri then
    review('tenken.reviewFile', { uri = uri, force = typed.bang })
  else
    vim.notify(require('tenken.texts').get().no_file, vim.log.levels.WARN)
  end
end

local function wrong(typed)
  local reason = typed.words[1]
  if reason and not vim.list_contains(REASONS, reason) then
    local texts = require('tenken.texts').get()
    vim.notify(texts.bad_reason:format(reason, table.concat(REASONS, ', ')), vim.log.levels.ERROR)
    return
  end
  local comment = table.concat(typed.words, ' ', 2)
  on_finding('tenken.wrong', { reason = reason, comment = comment ~= '' and comment or nil })
end

local function apply()
  findings.at_cursor(function(finding)
    local found = false
    vim.lsp.buf.code_action({
      apply = true,
      filter = function(action)
        local command = type(action.command) == 'table' and action.command or {}
        local about = (command.arguments or {})[1] or {}
        local fits = command.command == 'tenken.applied' and about.fingerprint == finding.fingerprint
        -- The first is the plain edit; a preview of the same one may follow.
        fits, found = fits and not found, found or fits
        return fits
      end,
    })
  end)
end

local SUBCOMMANDS = {
  review = function(typed)
    review('tenken.review', { uri = here(), force = typed.bang })
  end,
  file = file_review,
  branch = function(typed)
    review('tenken.reviewBranch', { uri = here(), base = typed.words[1] })
  end,
  cancel = function()
    send('tenken.cancel')
  end,
  clear = function()
    send('tenken.clear')
  end,
  list = findings.list,
  apply = apply,
  dismiss = function()
    on_finding('tenken.dismiss')
  end,
  wontfix = function(typed)
    local reason = table.concat(typed.words, ' ')
    on_finding('tenken.wontFix', { reason = reason ~= '' and reason or nil })
  end,
  wrong = wrong,
  undo = function()
    send('tenken.undo')
  end,
  explain = function()
    on_finding('tenken.explain')
  end,
  prompt = function()
    on_finding('tenken.copyPrompt')
  end,
  thread = function()
    findings.at_cursor(function(found)
      send('tenken.openThread', found)
    end, true)
  end,
  status = function()
    send('tenken.showStatus')
  end,
}

--- Run what was typed after :Tenken; alone it shows the status.
function M.run(given)
  local words = vim.list_slice(given.fargs, 2)
  local name = given.fargs[1] or 'status'
  local subcommand = SUBCOMMANDS[name]
  if subcommand then
    subcommand({ words = words, bang = given.bang })
    return
  end
  local known = vim.tbl_keys(SUBCOMMANDS)
  table.sort(known)
  local texts = require('tenken.texts').get()
  vim.notify(texts.bad_command:format(name, table.concat(known, ', ')), vim.log.levels.ERROR)
end

--- Complete a subcommand, and the reason of `wrong`.
function M.complete(lead, line)
  local before = vim.split(line:sub(1, #line - #lead), '%s+', { trimempty = true })
  local choices = {}
  if #before == 1 then
    choices = vim.tbl_keys(SUBCOMMANDS)
    table.sort(choices)
  elseif #before == 2 and before[2] == 'wrong' then
    choices = REASONS
  end
  return vim.tbl_filter(function(choice)
    return vim.startswith(choice, lead)
  end, choices)
end

return M
