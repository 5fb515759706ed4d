# 手机上的文字。键与 en.ftl 相同,由测试核对。
# 读的人是被叫醒的,先看到的只有 20 个字。

## 状态:标题的第一个词
state-err = 异常
state-msg = 消息
state-lost = 失联
state-lost-task = 未运行
state-runs = 运行过久
state-back = 上线
state-over = 恢复
state-quiet = 未再现
state-remind = 仍异常
state-system = 系统
state-late = 迟到

## 标题里的名称与数量
count-state = { $state }{ $n }
count-devices = { $n }台
count-tasks = { $n }任务
count-signs = { $n }条
lost-of-site = { $n }/{ $all }台 同一出口
lost-of = { $n }/{ $all }台
back-of = { $n }台
away = 断{ $span }
short-s = { $n }秒
short-min = { $n }分钟
short-h = { $n }小时
short-d = { $n }天

## 时间
format-day = %m-%d %H:%M
format-day-seconds = %m-%d %H:%M:%S
span-s = { $n } 秒
span-min = { $n } 分钟
span-h = { $n } 小时
span-h-min = { $h } 时 { $min } 分
span-d = { $n } 天
span-d-h = { $n } 天 { $h } 小时
late = 迟到 { $span }:{ $what }
list-comma = 、
sentence-space = { "" }

## 错误
failed = { $when ->
    [now] { $subject } 刚刚出错。
   *[late] { $subject } 于 { $time } 出错。
}
failed-otherwise = { $when ->
    [now] { $subject } 又出现另一个错误。
   *[late] { $subject } 于 { $time } 出现另一个错误。
}
failed-again = { $when ->
    [now] { $subject } 恢复不久又出错了。
   *[late] { $subject } 恢复不久,于 { $time } 又出错了。
}
in-a-row = { $subject } 已连续出错 { $n } 次。
comes-and-goes = { $subject } 时好时坏:已反复出错 { $n } 次。此后每 6 小时告知一次,直到一整天无事。
known-first = 此错首次出现。
known-again = 此错以前出现过。
last-good = 上次正常 { $time }({ $span }前)。
open-since = 故障始于 { $time },至今 { $n } 次。
more-errors = 之后又有 { $n } 个新错误,一并列在下面。
left-out = …… 略去 { $n } 字节 ……
device-itself = Olog

## 消息
msg-times = 同样的内容来了 { $n } 次。

## 失联与上线
lost-one = { $devices } 自 { $time } 起失联。
lost-many = { $time } 起 { $n } 台同时失联。
lost-many-site = { $time } 起 { $n } 台同时失联,出口都是 { $behind }。
lost-others = 其余 { $n } 台在线。
lost-bye = 失联前已报关机、停止或升级。
lost-no-bye = 失联前未报关机。
lost-comes-and-goes = 时断时续:一天内已失联 { $n } 次。此后每 6 小时或连续失联满 1 小时再告知,直到一整天在线。
lost-tasks = 其任务不再单独告警;回来后补查漏跑。
lost-summary-site = 疑似断电或断网
lost-summary = { $time } 起没有消息
back-one = { $devices } 已恢复连接,自 { $time } 断开 { $span }。
back-calm = { $devices } 时断时续 { $n } 次之后,已连续在线一整天。
back-many = { $n } 台已恢复连接,自 { $time } 断开 { $span }。
back-all = 全部回来。
back-missing = 仍未回来:{ $devices }
back-summary-all = { $how ->
    [all] 全部回来,都重启过
    [none] 全部回来,没有重启
   *[some] 全部回来,{ $n } 台重启过
}
back-summary-one = { $how ->
    [none] 没有重启
   *[all] 重启过
}
back-summary-missing = 还有 { $n } 台没回来
back-rebooted = { $how ->
    [it] 它重启过。
    [all] 都重启过。
    [none] 没有重启。
   *[some] 其中 { $n } 台重启过。
}
back-bye = 断开前已报。

## 未运行的任务
task-lost = { $how ->
    [first] { $subject } 应于 { $due } 运行,至今未见。
   *[still] { $subject } 应于 { $due } 运行,已过 { $span },仍未见。
}
task-last-seen = 上次 { $time }({ $span }前)。
task-never-seen = 从未见过它运行。
task-missed = 已漏 { $n } 次。
task-lost-summary = 应于 { $due }
task-stop-expecting = 不必再等它:
task-came = { $how ->
    [late] { $subject } 于 { $time } 运行,晚了 { $span }。
    [in-time] { $subject } 其实按时运行过({ $time }),只是现在才知道。
   *[failed] { $subject } 于 { $time } 运行但出错,错误另行告知。原应于 { $due }。
}
task-came-summary = { $time } 已运行
task-unexpected = 不再等待 { $subject }。
task-unexpected-summary = 不再等待
over-untold-lost = 未运行的消息当时还没发出,这里一并告知。
why-task-schedule = 按 hub.toml,应依 { $schedule } 运行。
task-runs = { $how ->
    [known] { $subject } 自 { $time } 起一直在运行,已 { $span };通常 { $usual }。
   *[unknown] { $subject } 自 { $time } 起一直在运行,已 { $span }。
}
task-runs-summary = { $how ->
    [known] 已 { $span },通常 { $usual }
   *[unknown] 已 { $span }
}
why-task-learnt = 它一向如此:{ $cadence }。
why-task-runs = 这次运行远比平常久,只告知一次。
proposal = { $cadence }({ $n } 次运行学得,历时 { $span })。从明天起监视,未运行即告警。不用:{ $command }
cadence-every = 每 { $span }
cadence-daily = 每天 { $when }
weekday = { $n ->
    [0] 周一
    [1] 周二
    [2] 周三
    [3] 周四
    [4] 周五
    [5] 周六
   *[6] 周日
}
why-task-report = hub.toml 要求它在两次日报之间至少运行一次。

## 恢复
over-was = { $range },共 { $n } 次。
over-summary = 历时 { $span },{ $n } 次
over-acknowledged = { $time } 已确认。
over-untold-devices = 失联的消息当时还没发出,这里一并告知。
over-untold = 出错的消息当时还没发出,这里一并告知。
ground = 依据:{ $ground }
ground-run-ended = 运行以 0 结束。
ground-new-log = 新日志到达,其后无错误。
ground-cleared = 错误文件已清空。
ground-log-grew = 日志在继续,已有一段时间无错误。
ground-closed = 由人关闭。
ground-quiet = 自 { $time } 起未再出现;不能证明已正常。
quiet-summary = 自 { $time } 起未再出现

## 仍异常
remind = { $subject } 仍然异常,已 { $span }。
remind-last = 共 { $n } 次,最近一次 { $time }。
remind-summary = 已 { $span }

## 怎么办、为何推送、事实
log-in = 登录
copy = 复制
address = 地址:{ $address }
details = 详情 #{ $n }
acknowledge = #{ $n } · 我知道了:
silence = 静音 2 小时:
acknowledge-n = 我知道了(N 为上面的编号):
why = 为何推送:{ $why }
why-first = 首次。
why-known = 已知的错误再次出现。
why-new = 未恢复的故障里出现新错误。
why-more = 未恢复的故障里还有新错误;一小时内已推送多次,这些合并告知。
why-reopened = 一天内再次发生。
why-comes-and-goes = 时好时坏。
why-in-a-row = 连续次数已达 hub.toml 所设。
was-silenced = 静音 { $n } 期间未推送,现在补上。
why-msg = 这是消息,不是错误;每条 .msg 都推送。
why-lost = 太久没有消息。
why-back = 失联时推送过。
why-over = 出错时推送过。
why-came = 未运行时推送过。
why-over-both = 开始与结束一并告知。
why-remind = 尚未恢复,提醒。
why-system = Olog 自身的事。
why-merged = { $n } 条合并。
error-times = 错误 { $at },发送 { $now }。
event-times = { $at },发送 { $now }。
event-now = 发送 { $now }。
budget-waited = { $n ->
    [1] 此条
   *[other] 其中 { $n } 条通知
}曾等待额度{ $used ->
    [0] 。
   *[other] :24 小时内已发 { $used }/{ $all } 条。
}
budget-low = { $n ->
    [0] 24 小时内 { $all } 条额度已用完:之后的消息等待
   *[other] 24 小时内 { $all } 条额度只剩 { $n } 条,留给新异常和日报;其余等待
}空出额度,或恢复额度(微信内接收:先给机器人发一条消息),再运行 olog-hub channel rearm { $channel }
by-device = 由设备直接发送:联系不上中枢。
by-device-again = 由设备直接发送。

## 合并
merged = 共 { $n } 件事,重的在前。
merged-same = 同一错误,{ $where },{ $range },共 { $n } 次。
merged-digest = 积下 { $n } 件事,现在才送出。未恢复的在前,各按自己的时间。
where-devices = { $n } 台
where-tasks = { $n } 个任务
where-both = { $devices } 台、{ $tasks } 个任务
and-more = 还有 { $n } 件,见下一条消息
names-more = 另 { $n } 项(olog-hub incident list --all)
counted = 另有 { $n } 项只计数:{ $devices }。
counted-devices = 另 { $n } 台
counted-where = 同时来得太多:这里先说最严重的,其余只计数。每一项都在:olog-hub incident list --all;消息(.msg)原文在设备上的文件里。

## Olog 自身
system-hub-first-start-title = 中枢 首次启动
system-hub-first-start = 中枢第一次运行。从现在起,出事会在这里告知。
system-hub-unclean-title = 中枢 重新启动
system-hub-unclean = 中枢上次没有正常停止(崩溃、被杀或断电),最后活动于 { $since }。各设备留着其后发生的事,正在补发。
system-hub-away-title = 中枢 回来了
system-hub-away = 中枢自 { $since } 起不在。各设备留着其后发生的事,正在补发。
system-hub-down-title = 中枢 停了
system-hub-down = { $code ->
    [watchdog] 它太久没有应答,被 systemd 结束
    [signal] 它被杀:{ $text }
    [core-dump] 它崩溃了:{ $text }
    [oom-kill] 内存耗尽,被内核杀掉
    [timeout] 它没能按时启动或停止
    [exit] 它以代码 { $text } 退出,没有留下话
    [unknown] 它没有运行,原因不明
   *[other] { $text }
}。中枢没有运行:恢复之前不再推送。各设备留着其间发生的事。查看:journalctl -u olog-hub
system-new-devices-title = 新设备
system-new-devices = 已加入:{ $devices }。
system-pending-devices-title = 待批准
system-pending-devices = 等待批准:{ $devices }。查看:olog-hub device list --pending
system-config-refused-title = 配置 被拒
system-config-refused = { $findings }。因此仍用旧配置{ $n ->
    [one] 。
   *[other] ;新配置共有 { $n } 处错误。
}
system-epoch-renewed-title = 重新编号
system-epoch-renewed = { $device } 的事件重新编号:{ $why }。它留着的都会再发;不会丢,可能有重复。
system-gap-title = 缺号
system-gap = { $device } 缺 { $n } 个事件:中枢可能是从备份恢复的。
system-two-machines-title = 两机同钥
system-two-machines = 两台机器在用 { $device } 的密钥:{ $addresses }。其中一台是克隆:在它上面删掉 state_dir,重新加入。
system-unreadable-title = 存不下
system-unreadable = { $device } 的第 { $n } 号事件存不进库,已记为不可读;后面的照常。
system-agent-note-title = 采集异常
system-agent-note = { $device } 上的采集有问题:{ $code ->
    [log_dir_missing] 日志目录不在
    [log_dir_unreadable] 日志目录读不了
    [log_dir_hidden] 日志目录被沙箱挡住
    [log_dir_full] 日志目录所在磁盘已用超过 90 %
    [file_unreadable] 文件读不了
    [watch_limit] 不能同时监视所有目录,改为定时查看
    [too_many_folders] 目录太多,超出的没有监视
    [spool_full] 暂存已满,先停止读取
    [disk_full] 磁盘写不进
    [not_cleanable] 旧日志删不掉
    [spool_damaged] 暂存损坏,原文件已留存
    [spool_unreadable] 暂存有一部分读不出
    [epoch_renewed] 已重新编号
    [config_refused] 新配置被拒,仍用旧的
   *[other] 见原文
}{ $at }。原文:{ $text }
system-agent-note-over-title = 采集恢复
system-agent-note-over = { $device } 上的采集已恢复,原来的问题:{ $code ->
    [log_dir_missing] 日志目录不在
    [log_dir_unreadable] 日志目录读不了
    [log_dir_hidden] 日志目录被沙箱挡住
    [log_dir_full] 日志目录所在磁盘已用超过 90 %
    [file_unreadable] 文件读不了
    [watch_limit] 不能同时监视所有目录,改为定时查看
    [too_many_folders] 目录太多,超出的没有监视
    [spool_full] 暂存已满,先停止读取
    [disk_full] 磁盘写不进
    [not_cleanable] 旧日志删不掉
    [spool_damaged] 暂存损坏,原文件已留存
    [spool_unreadable] 暂存有一部分读不出
    [epoch_renewed] 已重新编号
    [config_refused] 新配置被拒,仍用旧的
   *[other] 见原文
}{ $at }。原文:{ $text }
system-channel-failing-title = 通道 不通
system-channel-failing = 通道 { $channel } 不收消息。它的回答:{ $answer }。等着的消息保留 7 天。
system-channel-back-title = 通道 恢复
system-channel-back = { $since ->
    [none] 通道 { $channel } 又能收消息了。
   *[other] 通道 { $channel } 又能收消息了。自 { $since } 起一直不收,积下的现在送出。
}
system-receiver-refused-title = 收件人 被拒
system-receiver-refused = 通道 { $channel } 不再接受 { $receiver }:{ $answer }。其他收件人照常。请重新关注,或从配置中去掉。
system-expired-title = 过期
system-expired = 通道 { $channel } 的 { $n } 条通知 7 天未能送出,已放弃。内容仍在故障列表里。
system-ghost-tasks-title = 轮转产生的任务
system-ghost-tasks = 有 { $n } 个任务像是日志轮转留下的旧文件名：{ $what }。合并第一个：{ $command }。也可以用 olog-hub task forget 删除。
system-values-unreadable-title = 数据无法读取
system-values-unreadable = 当前版本的 Olog 无法读取 { $n } 项已存数据（{ $what }）：{ $why }。数据已保留，其他功能不受影响。如果降级过版本，请重新安装较新的版本，它会补发未送出的消息。查看：olog-hub status
system-store-trouble-title = 磁盘 出过问题
system-store-trouble = 中枢有一段时间不能写入,现已恢复:{ $text }。其间的事各设备都留着。
system-store-recovered-title = 数据库 损坏
system-store-recovered = 数据库损坏,原文件留在 { $path }。中枢已换用新库:只在旧库里的内容,这里看不到。
system-report-page-title = 日报 页面
system-report-page = 日报的页面打不开,改为全文推送:{ $why }
system-report-listing-title = 日报 目录可见
system-report-listing = { $path } 会列出其中的文件:谁找到它,谁就能看全部日报。请关闭目录列表(nginx:autoindex off)。
system-watchdog-failing-title = 心跳 无人接收
system-watchdog-failing = 接收中枢心跳的 { $host } 连续三次没有收下:{ $why }。中枢本身正常;但那边会以为它停了,真停了也无人知道。
system-watchdog-back-title = 心跳 恢复
system-watchdog-back = { $host } 又能收到中枢的心跳。
system-hub-unreachable-title = 中枢 失联
system-hub-unreachable = { $device } 自 { $since } 起联系不上中枢:{ $why }。恢复之前,它自己推送自己的异常和消息;没有人报告失联与未运行。
system-hub-reachable-title = 中枢 恢复
system-hub-reachable = { $device } 又能联系上中枢,断了 { $span }(自 { $since } 起)。中枢没听到的,现在补发。
system-channel-test-title = 测试
system-channel-test = 这是通道 { $channel } 的测试,走的路与告警相同。

## 日报推送
state-report = 日报
state-ok = 正常
state-task-lost = 未运行
state-note = 采集异常
state-channel = 通道不通
report-all-ok = 全部正常
report-all-ok-of = 全部正常 { $devices }台{ $tasks }任务
report-no-devices = 还没有设备
report-n-err = 异常{ $n }
report-n-lost = 失联{ $n }
report-n-task-lost = 未运行{ $n }
report-n-ok = 正常{ $n }
report-n-to-do = { $n }项要处理
report-telling-task-lost = { $name } 已 { $span }未运行
report-telling-task-err = { $name } 异常 { $span }
report-telling-device-lost = { $name } 失联 { $span }
report-telling-devices-lost = { $n } 台失联 { $span }
report-telling-note = { $name } 上的采集有问题
report-telling-channel = 通道 { $name } 不收消息
report-window-good = { $from } 起 { $span }:无异常、无失联。{ $devices } 台,{ $tasks } 个任务。
report-window-over = { $from } 起 { $span }:出过事,都已恢复。{ $devices } 台,{ $tasks } 个任务。
report-window-bad = { $from } 起 { $span }:{ $devices } 台,{ $tasks } 个任务。
report-to-do = 现在要处理 { $n }:
report-over = 已恢复 { $n }。
report-last-done = 最晚 { $time } 完成({ $name })。
report-changed = 新 { $new },消失 { $gone }。
report-sent = 推送 { $sent } 成功 { $refused } 拒绝。
report-waiting = 待发 { $n }。
report-channels-failing = 不通的通道:{ $channels }。
report-open = 打开日报
report-due = 应于 { $time }
report-last-good = 上次正常 { $time }
report-not-acknowledged = 未确认
report-more = 还有 { $n }
report-head-over = 已恢复
report-head-new = 新
report-head-gone = 消失
report-head-devices = 设备
report-inline = 取日报页面:olog-hub report show N --html FILE

## 日报页面
format-day-only = %m-%d
page-all-ok = 全部正常
page-no-devices = 还没有设备加入
page-to-do = { $n } 项要处理
page-made = { $time } 生成
page-devices = 设备
page-tasks = 任务
page-over = 已恢复
page-over-title = 上次日报以来已恢复
page-changed = 变化
page-new = 新
page-new-mark = 新
page-gone = 消失
page-now = 现在要处理
page-proof = 顺利完成
page-since = 自 { $time }({ $span })
page-times = { $n } 次
page-acknowledged = { $time } 已确认
page-same-site = { $n } 台(同一出口)
page-fleet = { $n } 天,其中 { $good } 天无异常
page-strip = 30 天:正常 { $ok },异常 { $err },失联 { $lost }
page-proposal = 学到
page-proposed = { $name }:{ $reason }
page-disk-full = { $name } 磁盘快满,自 { $time }:{ $text }
page-renamed = 改名
page-rebooted = 重启
page-n-ok = 正常 { $n } 台
page-heard = 最近联系 { $time }
page-next = 下次 { $time }
page-last-error = 最近错误 { $time }
page-devices-left = 还有 { $n } 台:
page-key = 每条为 30 天,最右是今天:矮 = 正常,满 = 异常,空心 = 失联或未运行,细线 = 没有动静。
page-health = Olog 自身好吗?
page-well = 一切正常。
page-no-channel = 没有通道:出事无人知道。
page-one-channel = 只有一个通道:它若不通,无人知道。
page-channel = 成功 { $sent } 拒绝 { $refused }
page-waiting = 待发 { $n }
page-left-today = 今日还可发 { $n }
page-next-slot = { $time } 恢复一条
page-channel-gone = { $n } 条等待;该通道已不在配置中。等它回来,7 天后放弃。
page-failing = 不通:{ $why }
page-no-link = 此页没有链接:{ $why }
page-clock-ahead = { $name } 的时钟快 { $span }。
page-clock-behind = { $name } 的时钟慢 { $span }。
page-other-versions = 与中枢版本不同:{ $names }
page-backup = 最近备份 { $time }。
page-next-report = 下次日报:{ $time }。
page-lives = 此页保留 { $n } 天。
page-how = 暂时静音:olog-hub silence add --device 设备 --for 2h。不再提醒某个故障:olog-hub incident ack N。设备不再使用:olog-hub device forget NAME。
report-telling-never-joined = { $name } 从未加入
report-never-joined = 从未加入
page-due-since = 应于 { $time }({ $span }前)
page-missed = 漏了 { $n } 次
report-comma = ,
report-over-site = 已恢复 { $n }(其中 { $devices } 台失联 { $span })。
