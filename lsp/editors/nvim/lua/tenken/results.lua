-- Runs the server's commands, and shows what those with a result answer.
local M = {}

local function open(title, markdown)
  local lines = vim.split(markdown, '\n', { plain = true, trimempty = true })
  vim.lsp.util.open_floating_preview(lines, 'markdown', {
    border = 'rounded',
    title = title,
    focus_id = 'tenken',
    max_width = 100,
    wrap = true,
  })
end

local SHOWN = {
  ['tenken.explain'] = function(result)
    open(result.title, result.markdown)
  end,
  ['tenken.showStatus'] = function(result)
    open(nil, result.markdown)
  end,
  ['tenken.copyPrompt'] = function(result)
    vim.fn.setreg('"', result.text)
    if vim.fn.has('clipboard') == 1 then
      vim.fn.setreg('+', result.text)
    end
    vim.notify(require('tenken.texts').get().copied)
  end,
}

--- Have a client run a command, by name and its one argument.
function M.request(client, name, argument)
  -- An empty table would be sent as a list.
  local params = { command = name, arguments = next(argument or {}) and { argument } or {} }
  client:request('workspace/executeCommand', params, function(problem, result)
    if problem then
      vim.notify('Tenken: ' .. problem.message, vim.log.levels.ERROR)
    elseif SHOWN[name] and result and result ~= vim.NIL then
      SHOWN[name](result)
    end
  end)
end

--- Run the command of a code action.
function M.run(command, context)
  local client = vim.lsp.get_client_by_id(context.client_id)
  if client then
    M.request(client, command.command, (command.arguments or {})[1])
  end
end

return M
