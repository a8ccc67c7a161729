-- Defines :Tenken, and enables the server unless `vim.g.tenken_enable` is false.
if vim.g.loaded_tenken then
  return
end
vim.g.loaded_tenken = true

if vim.fn.has('nvim-0.11') == 0 then
  vim.notify(require('tenken.texts').get().too_old, vim.log.levels.ERROR)
  return
end

vim.api.nvim_create_user_command('Tenken', function(given)
  require('tenken.commands').run(given)
end, {
  bang = true,
  nargs = '*',
  desc = 'Tenken: code review',
  complete = function(lead, line)
    return require('tenken.commands').complete(lead, line)
  end,
})

local function enable()
  if vim.g.tenken_enable ~= false then
    require('tenken.server').enable()
  end
end

-- Later, so that a plugin manager has called setup() when the first server starts.
if vim.v.vim_did_enter == 1 then
  vim.schedule(enable)
else
  vim.api.nvim_create_autocmd('VimEnter', { once = true, callback = enable })
end
