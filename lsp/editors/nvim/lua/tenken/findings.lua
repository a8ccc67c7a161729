-- Findings as Neovim knows them: diagnostics of the server, with the finding in their data.
local M = {}

local function data(diagnostic)
  local sent = diagnostic.user_data and diagnostic.user_data.lsp
  return sent and sent.data
end

--- Return all findings, or those of a buffer.
function M.all(bufnr)
  return vim.tbl_filter(function(diagnostic)
    return diagnostic.source == 'tenken' and data(diagnostic) ~= nil
  end, vim.diagnostic.get(bufnr))
end

--- Call `act` with the finding at the cursor as commands name it; asks where there are several.
function M.at_cursor(act)
  local bufnr, line = vim.api.nvim_get_current_buf(), vim.api.nvim_win_get_cursor(0)[1] - 1
  local found = vim.tbl_filter(function(diagnostic)
    return diagnostic.lnum <= line and line <= diagnostic.end_lnum
  end, M.all(bufnr))
  local texts = require('tenken.texts').get()
  local function choose(diagnostic)
    if diagnostic then
      act({ uri = vim.uri_from_bufnr(bufnr), fingerprint = data(diagnostic).fingerprint }, bufnr)
    end
  end
  if #found == 0 then
    vim.notify(texts.no_finding)
  elseif #found == 1 then
    choose(found[1])
  else
    vim.ui.select(found, {
      prompt = texts.which,
      format_item = function(diagnostic)
        return (diagnostic.message:gsub('%s+', ' '))
      end,
    }, choose)
  end
end

--- Put all findings into the quickfix list.
function M.list()
  local found = M.all()
  local texts = require('tenken.texts').get()
  vim.fn.setqflist({}, ' ', { title = texts.list, items = vim.diagnostic.toqflist(found) })
  if #found == 0 then
    vim.notify(texts.none)
  else
    vim.cmd('botright copen')
  end
end

return M
