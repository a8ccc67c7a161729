-- Everything the plugin itself says, in English and Japanese; the server's messages come in the same language.
local M = {}

local ENGLISH = {
  too_old = 'Tenken needs Neovim 0.11 or newer.',
  not_installed = "Tenken: %s cannot be run. Install it with: pip install 'tenken[lsp]' (see :checkhealth tenken)",
  not_running = 'Tenken: no server runs here. See :checkhealth tenken',
  bad_key = 'Tenken: setup() knows no key %s, only cmd and settings.',
  bad_type = 'Tenken: setup() expects for the key %s a %s.',
  bad_command = 'Tenken: no subcommand %s. There are: %s',
  bad_reason = 'Tenken: no reason %s. There are: %s',
  no_file = 'Tenken: this buffer is not a file.',
  no_finding = 'Tenken: no finding on this line.',
  none = 'Tenken: no findings.',
  which = 'Which finding?',
  list = 'Tenken findings',
  copied = 'Tenken: copied.',
  states = {
    starting = 'starting',
    idle = '',
    reviewing = 'reviewing',
    loading = 'loading',
    queued = 'queued',
    unreachable = 'no answer',
    unauthorized = 'wrong token',
    failed = 'failed',
    noEngine = 'no engine',
    misconfigured = 'bad settings',
    excluded = '-',
    off = 'off',
  },
  health = {
    version = 'Neovim %s',
    git = 'git is installed',
    no_git = 'git cannot be run: nothing can be reviewed without it',
    server = '%s: %s',
    no_server = '%s cannot be run',
    install = "Install it with: pip install 'tenken[lsp]', or 'tenken[cpu,lsp]' for reviews without an engine elsewhere",
    where = "Or say where it is: vim.lsp.config('tenken', { cmd = { '/path/to/tenken-lsp' } })",
    broken = '%s does not start: %s',
    enabled = 'The server is enabled',
    not_enabled = 'The server is not enabled',
    enable = "Enable it with: vim.lsp.enable('tenken')",
    no_client = 'No server runs yet; one starts when a file with a file type is opened',
    folders = 'Folders: %s',
    state = 'State: %s %s',
    engine = 'Engine: %s',
    adapter = 'Adapter: %s',
    silent = 'A server runs and has not told its state yet',
  },
}

local JAPANESE = {
  too_old = 'Tenken には Neovim 0.11 以降が必要です。',
  not_installed = "Tenken: %s を実行できません。pip install 'tenken[lsp]' で導入してください（:checkhealth tenken を参照）",
  not_running = 'Tenken: ここではサーバーが動いていません。:checkhealth tenken を参照してください',
  bad_key = 'Tenken: setup() のキー %s は使えません。cmd と settings だけです。',
  bad_type = 'Tenken: setup() のキー %s の型は %s です。',
  bad_command = 'Tenken: サブコマンド %s はありません。使えるもの: %s',
  bad_reason = 'Tenken: 理由 %s はありません。使えるもの: %s',
  no_file = 'Tenken: このバッファはファイルではありません。',
  no_finding = 'Tenken: この行に指摘はありません。',
  none = 'Tenken: 指摘はありません。',
  which = 'どの指摘ですか？',
  list = 'Tenken の指摘',
  copied = 'Tenken: コピーしました。',
  states = {
    starting = '起動中',
    idle = '',
    reviewing = '点検中',
    loading = '読み込み中',
    queued = '順番待ち',
    unreachable = '応答なし',
    unauthorized = 'トークン不正',
    failed = '失敗',
    noEngine = 'エンジンなし',
    misconfigured = '設定に誤り',
    excluded = '-',
    off = 'オフ',
  },
  health = {
    version = 'Neovim %s',
    git = 'git が使えます',
    no_git = 'git を実行できません。git がなければ点検できません',
    server = '%s: %s',
    no_server = '%s を実行できません',
    install = "pip install 'tenken[lsp]' で導入してください。外部のエンジンなしで使うには 'tenken[cpu,lsp]'",
    where = "または場所を指定してください: vim.lsp.config('tenken', { cmd = { '/path/to/tenken-lsp' } })",
    broken = '%s を起動できません: %s',
    enabled = 'サーバーは有効です',
    not_enabled = 'サーバーは有効になっていません',
    enable = "有効にするには: vim.lsp.enable('tenken')",
    no_client = 'サーバーはまだ動いていません。ファイルタイプのあるファイルを開くと起動します',
    folders = 'フォルダー: %s',
    state = '状態: %s %s',
    engine = 'エンジン: %s',
    adapter = 'アダプター: %s',
    silent = 'サーバーは動いていますが、まだ状態を知らせていません',
  },
}

--- Return the user's locale as the protocol writes it, such as `ja-JP`; `en` for C and POSIX.
function M.locale()
  local name = ''
  for _, variable in ipairs({ 'LC_ALL', 'LC_MESSAGES', 'LANG' }) do
    name = name ~= '' and name or (vim.env[variable] or ''):match('^[^.@]*')
  end
  if name == '' or name == 'C' or name == 'POSIX' then
    return 'en'
  end
  return (name:gsub('_', '-'))
end

--- Return the texts in the language of the settings, else of the environment.
function M.get()
  local ok, config = pcall(function()
    return vim.lsp.config.tenken
  end)
  local settings = ok and config and config.settings and config.settings.tenken or {}
  local language = type(settings.language) == 'string' and settings.language or M.locale()
  return vim.startswith(language, 'ja') and JAPANESE or ENGLISH
end

M.languages = { en = ENGLISH, ja = JAPANESE }

return M
