-- What the server last said of itself, and the words of it that fit into a status line.
local M = {}

local latest = {} ---@type table<integer, table>

local function changed()
  vim.api.nvim_exec_autocmds('User', { pattern = 'TenkenStatus', modeline = false })
  vim.cmd.redrawstatus({ bang = true })
end

--- Keep a client's status.
function M.take(id, status)
  latest[id] = status
  changed()
end

--- Forget a client that ended.
function M.forget(id)
  if latest[id] then
    latest[id] = nil
    changed()
  end
end

--- Return the status of PROTOCOL.md, or nil where no server runs.
function M.get()
  return select(2, next(latest))
end

--- Return a short text such as `Tenken 2/5`, with % doubled for a status line.
function M.line()
  local status = M.get()
  if not status then
    return ''
  end
  local texts = require('tenken.texts').get()
  local said = texts.states[status.state] or status.state
  if status.state == 'reviewing' and type(status.total) == 'number' then
    said = ('%d/%d'):format(type(status.done) == 'number' and status.done or 0, status.total)
  end
  local parts = { 'Tenken', said }
  if status.findings > 0 then
    table.insert(parts, ('(%d)'):format(status.findings))
  end
  local filled = vim.tbl_filter(function(part)
    return part ~= ''
  end, parts)
  return (table.concat(filled, ' '):gsub('%%', '%%%%'))
end

return M
