-- Shows how far a review is that somebody asked for; one that began by itself only shows in the status line.
local M = {}

local MARGIN = 12 -- Neovim asks for a key press when a message fills the last line
local BEGIN_MS = 10000 -- a review that begins later is not the one that was asked for: there was nothing to do
local watching

--- Show the progress of a client's next review until it ends.
function M.watch(client)
  if watching then
    vim.api.nvim_del_autocmd(watching)
  end
  local latest = vim.uv.now() + BEGIN_MS
  watching = vim.api.nvim_create_autocmd('LspProgress', {
    callback = function(event)
      local value = event.data.params.value
      if event.data.client_id ~= client.id then
        return false
      end
      if value.kind == 'begin' and vim.uv.now() > latest then
        watching = nil
        return true
      end
      return M.show(value)
    end,
  })
end

--- Show one report; true when it is the last, which ends the watch.
function M.show(value)
  local parts = { value.title or 'Tenken', value.message or '' }
  local text = table.concat(parts, ' '):gsub('%s+', ' ')
  local room = math.max(vim.v.echospace - MARGIN, 20)
  vim.api.nvim_echo({ { vim.fn.printf('%.' .. room .. 'S', text) } }, false, {})
  if value.kind == 'end' then
    watching = nil
    return true
  end
end

return M
