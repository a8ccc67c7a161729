-- The client's configuration, where Neovim looks for one named `tenken`. Whatever `vim.lsp.config('tenken', ...)`
-- says goes over it.
return require('tenken.server').config()
