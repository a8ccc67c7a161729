-- Findings as Neovim knows them: diagnostics of the server, with the finding in their data. Those with a thread
-- of a merge request in it are none.
local M = {}

local function data(diagnostic)
  local sent = diagnostic.user_data and diagnostic.user_data.lsp
  return sent and sent.data
end

local function all(bufnr, with_threads)
  return vim.tbl_filter(function(diagnostic)
    local sent = diagnostic.source == 'tenken' and data(diagnostic)
    return sent and (sent.fingerprint or with_threads) and true or false
  end, vim.diagnostic.get(bufnr))
end

--- Return all findings, or those of a buffer.
function M.all(bufnr)
  return all(bufnr, false)
end

--- Call `act` with the finding at the cursor as commands name it; asks where there are several. With
--- `threads` it may be a thread.
function M.at_cursor(act, threads)
  local bufnr, line = vim.api.nvim_get_current_buf(), vim.api.nvim_win_get_cursor(0)[1] - 1
  local found = vim.tbl_filter(function(diagnostic)
    return diagnostic.lnum <= line and line <= diagnostic.end_lnum
  end, all(bufnr, threads))
  local texts = require('tenken.texts').get()
  local function choose(diagnostic)
    if diagnostic then
      local sent = data(diagnostic)
      act({ uri = vim.uri_from_bufnr(bufnr), fingerprint = sent.fingerprint, thread = sent.thread }, bufnr)
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
