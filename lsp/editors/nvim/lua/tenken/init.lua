-- What a user's configuration calls: setup() and statusline(). Both are optional.
local M = {}

local KEYS = { cmd = 'table', settings = 'table' }

--- Take options: `cmd` starts the server, `settings` are the keys of :help tenken-settings.
--- Servers that run get the settings at once; a new `cmd` holds from the next start.
function M.setup(options)
  options = options or {}
  for key, value in pairs(options) do
    if type(value) ~= KEYS[key] then
      local texts = require('tenken.texts').get()
      local said = KEYS[key] and texts.bad_type:format(key, KEYS[key]) or texts.bad_key:format(tostring(key))
      vim.notify(said, vim.log.levels.ERROR)
      return
    end
  end
  local settings = { tenken = options.settings }
  vim.lsp.config('tenken', { cmd = options.cmd, settings = settings })
  for _, client in ipairs(require('tenken.server').clients()) do
    client.settings = vim.tbl_deep_extend('force', client.settings or {}, settings)
    client:notify('workspace/didChangeConfiguration', { settings = client.settings })
  end
end

--- Return a short text for a status line; nothing where no server runs.
function M.statusline()
  return require('tenken.status').line()
end

return M
