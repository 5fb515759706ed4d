complete --keep-order --exclusive --command olog-agent --arguments "(OLOG_COMPLETE=fish olog-agent -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
