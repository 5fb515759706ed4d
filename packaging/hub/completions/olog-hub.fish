complete --keep-order --exclusive --command olog-hub --arguments "(OLOG_COMPLETE=fish olog-hub -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
