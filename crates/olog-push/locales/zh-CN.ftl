# 手机上的文字。键与 en.ftl 相同，由测试核对。
# 读者可能刚被叫醒，先看到的只有 20 个字。服务端、客户端：全文只用这两个词。

## 状态：标题的第一个词
state-err = 异常
state-msg = 消息
state-lost = 失联
state-lost-task = 未运行
state-runs = 运行超时
state-back = 上线
state-over = 恢复
state-quiet = 未再现
state-remind = 仍异常
state-system = 系统
state-late = 迟到
title-telling = { $title } — { $telling }

## 标题里的名称与数量
count-state = { $state }{ $n }
count-devices = { $n }台
count-tasks = { $n }个任务
count-signs = { $n }件
lost-of-site = { $n }/{ $all }台 同一出口
lost-of = { $n }/{ $all }台
devices-short = { $n }台
back-part = { $n }/{ $all }台
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
span-h-min = { $h } 小时 { $min } 分钟
span-d = { $n } 天
span-d-h = { $n } 天 { $h } 小时
span-range = { $from }到 { $to }
late = 迟到 { $span }：{ $what }
late-then = 迟到 { $span }。
list-comma = 、
telling-comma = ；
sentence-space = { "" }

## 错误
failed = { $when ->
    [now] { $subject } 出错。
   *[late] { $subject } 于 { $time } 出错。
}
failed-otherwise = { $when ->
    [now] { $subject } 出现了另一个错误。
   *[late] { $subject } 于 { $time } 出现了另一个错误。
}
failed-again = { $when ->
    [now] { $subject } 恢复后不久再次出错。
   *[late] { $subject } 恢复后不久，于 { $time } 再次出错。
}
began-again = 第 { $n } 次，首次 { $time }。
recovered-meanwhile = { $time } 已恢复。
history = { $over } 恢复，{ $again } 又出错。
in-a-row = { $subject } 已连续出错 { $n } 次。
run-failed = { $how ->
    [signal] 被信号 { $code } 终止，运行 { $span }。
    [unmeasured] 退出码 { $code }。
   *[exit] 退出码 { $code }，运行 { $span }。
}
comes-and-goes = { $subject } 时好时坏，已出错 { $n } 次。之后每 6 小时通知一次，连续 24 小时正常后恢复逐次通知。
known-first = 该错误首次出现。
known-again = 该错误以前出现过。
last-good = 上次正常：{ $time }（{ $span }前）。
open-since = 故障始于 { $time }，至今共 { $n } 次错误。
more-errors = 此后又出现 { $n } 个新错误，一并列在下面。
left-out = …… 省略 { $n } 字节 ……
device-itself = Olog

## 消息
msg-times = 相同内容已出现 { $n } 次。

## 失联与上线
lost-one = { $devices } 自 { $time } 起失联。
lost-many = 自 { $time } 起，{ $n } 台设备同时失联。
lost-many-site = 自 { $time } 起，{ $n } 台设备同时失联，出口地址均为 { $behind }。
lost-others = 其余 { $n } 台在线。
lost-bye = 失联前曾上报关机、停止或升级。
lost-no-bye = 失联前没有上报关机。
lost-comes-and-goes = 连接时断时续：24 小时内已失联 { $n } 次。之后每 6 小时通知一次，连续失联满 1 小时也会通知，直到连续在线满 24 小时。
lost-tasks = 期间不再单独为其任务告警；恢复连接后检查错过的运行。
lost-summary-site = 疑似断电或断网
lost-summary = 自 { $time } 起无消息
back-one = { $devices } 已恢复连接，自 { $time } 起离线 { $span }。
back-calm = { $devices } 失联 { $n } 次之后，已连续在线 24 小时。
back-many = { $n } 台设备已恢复连接，自 { $time } 起离线 { $span }。
back-all = 全部恢复连接。
back-missing = 仍失联：{ $devices }。
back-summary-all = { $how ->
    [unknown] 全部恢复
    [all] 全部恢复，均重启过
    [none] 全部恢复，没有重启
   *[some] 全部恢复，{ $n } 台重启过
}
back-summary-one = { $how ->
    [unknown] 已恢复连接
    [none] 没有重启
   *[all] 重启过
}
back-summary-missing = { $devices } 仍失联
back-rebooted = { $how ->
    [it] 期间重启过。
    [all] 期间均重启过。
    [none] 没有重启。
   *[some] 其中 { $n } 台重启过。
}
back-bye = 断开前曾上报。
back-missed-run = { $name }（{ $due }）
back-missed-more = 另外 { $n } 个
back-missed = 期间漏跑：{ $runs }。{ $how ->
    [one] { $late } 前仍不补跑，即告警。
   *[several] 到期仍不补跑的，各自告警。
}
back-missed-summary = 漏跑 { $run }{ $n ->
    [0] { "" }
   *[other] 等 { $all } 个
}

## 未运行的任务
task-lost = { $how ->
    [first] { $subject } 应于 { $due } 运行，至今没有运行。
   *[still] { $subject } 应于 { $due } 运行，已过去 { $span }，仍没有运行。
}
task-device-offline = 原因：设备从 { $from } 到 { $to } 离线，期间正是应运行的时间。
task-last-seen = 上次运行：{ $time }（{ $span }前）。
task-never-seen = 从未运行过。
task-missed = 已错过 { $n } 次。
task-lost-summary = 应于 { $due } 运行
task-stop-expecting = 不再监视此任务：
task-came = { $how ->
    [late] { $subject } 于 { $time } 运行，晚了 { $span }。
    [in-time] { $subject } 其实已于 { $time } 按时运行，服务端现在才收到。
   *[failed] { $subject } 于 { $time } 运行但出错（错误另行通知）。原定 { $due }。
}
task-came-summary = { $time } 已运行
task-unexpected = 不再要求 { $subject } 按时运行。
task-unexpected-summary = 不再监视
over-untold-lost = “未运行”的通知当时尚未发出，这里一并说明。
why-task-schedule = hub.toml 规定的运行时间：{ $schedule }。
schedule-words = { $words }（{ $line }）
task-runs = { $how ->
    [known] { $subject } 自 { $time } 起一直在运行，已运行 { $span }，通常只需 { $usual }。
   *[unknown] { $subject } 自 { $time } 起一直在运行，已运行 { $span }。
}
task-runs-summary = { $how ->
    [known] 已运行 { $span }，通常只需 { $usual }
   *[unknown] 已运行 { $span }
}
why-task-learnt = 根据它以往的运行规律：{ $cadence }。
why-task-read = 根据它所在机器上的时间表：{ $schedule }。
why-task-runs = 这次运行远超平时的时长；只通知一次。
proposal = { $cadence }（根据 { $span }内的 { $n } 次运行得出）。从明天起按此监视，未按时运行即告警。如不需要：{ $command }
proposal-read = { $schedule }（读自它所在机器的时间表）。从明天起按此监视，未按时运行即告警。如不需要：{ $command }
schedule-zone = { $words }，{ $zone } 时间
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
over-was = { $range }，共 { $n } 次错误。
over-were = { $range }，{ $how ->
    [each] 各 { $n } 次错误。
   *[total] 合计 { $n } 次错误。
}
over-summary = 历时 { $span }，{ $n } 次错误
over-acknowledged = 已于 { $time } 确认。
over-untold-devices = “失联”的通知当时尚未发出，这里一并说明。
over-said-by = 这是另一个用户报告的：{ $end }；错误来自 { $error }。
over-untold = “出错”的通知当时尚未发出，这里一并说明。
ground = 依据：{ $ground }
ground-run-ended = 有一次运行以退出码 0 结束。
ground-new-log = 出现了新日志，此后没有错误。
ground-cleared = 错误文件已清空。
ground-log-grew = 日志持续写入，一段时间内没有错误。
ground-closed = 由人工关闭。
ground-resolved = 告警已解除，或发送方不再发送。
ground-quiet = 自 { $time } 起未再出现，但不能证明已恢复正常。
quiet-summary = 自 { $time } 起未再出现

## 仍异常
remind = { $subject } 仍然异常，已持续 { $span }。
remind-last = 共 { $n } 次错误，最近一次在 { $time }。
remind-summary = 已持续 { $span }

## 怎么办、为何推送、事实
log-in = 登录
copy = 复制
address = 地址：{ $address }
details = 详情 #{ $n }
details-all = { $n } 个故障的详情
acknowledge = #{ $n } · 确认：
silence = 静音 2 小时：
acknowledge-button = 确认
acknowledge-all = 全部确认：
why = 推送原因：{ $why }
why-first = 首次出现。
why-known = 已知的错误再次出现。
why-new = 未关闭的故障中出现了新错误。
why-more = 未关闭的故障中还有新错误；一小时内已推送多次，其余合并通知。
why-reopened = 恢复后 24 小时内再次发生。
why-comes-and-goes = 时好时坏。
why-in-a-row = 连续出错次数已达到 hub.toml 的设定。
was-silenced = 静音规则 { $n } 期间未推送，现补发。
why-msg = 这是消息，不是错误；每条 .msg 都推送。
why-lost = 超过 offline_after 没有消息。
why-back = 失联时推送过。
why-over = 出错时推送过。
why-came = 未运行时推送过。
why-over-both = 开始与恢复一并通知。
why-remind = 尚未恢复，定期提醒。
why-system = Olog 自身的通知。
why-merged = { $n } 项通知合并发送。
error-times = 错误发生于 { $at }，发送于 { $now }。
event-times = 发生于 { $at }，发送于 { $now }。
event-now = 发送于 { $now }。
budget-waited = { $whose ->
    [all] 本消息曾因额度不足而等待
   *[some] 其中 { $n } 项通知曾因额度不足而等待
}{ $used ->
    [0] 。
   *[other] ；24 小时内已发 { $used }/{ $all } 条。
}
budget-low = { $n ->
    [0] 今日额度（{ $all } 条）已用完，后续消息须等额度释放。
   *[other] 今日额度还剩 { $n }/{ $all } 条，只用于新故障和日报，其余暂存。
}要立即恢复：在微信内接收的，先给机器人发任意一条消息，再运行 olog-hub channel rearm { $channel }
by-device = 由设备直接发送：无法连接服务端。
by-device-again = 由设备直接发送。

## 合并
merged = 共 { $n } 项，严重的在前。
merged-same = 同一错误：{ $where }，{ $range }，共 { $n } 次。
merged-errors = 共 { $n } 个不同的错误，最新的在最后（{ $times }）。
merged-digest = 积压 { $n } 项，现补发。未恢复的在前，时间均为发生时间。
where-devices = { $n } 台设备
where-tasks = { $n } 个任务
where-both = { $devices } 台设备、{ $tasks } 个任务
and-more = 还有 { $n } 项，见下一条消息
names-more = 另外 { $n } 项（olog-hub incident list --all）
counted = 另有 { $n } 项仅计数，不逐一列出：{ $devices }。
counted-devices = 另外 { $n } 台设备
counted-where = 短时间内数量过多：这里只列出最严重的，其余仅计数。全部内容见 olog-hub incident list --all；消息（.msg）的原文在设备的文件中。

## Olog 自身
system-hub-first-start-title = 服务端 首次启动
system-hub-first-start = 服务端首次启动。今后的告警都会发到这里。
system-hub-unclean-title = 服务端 重新启动
system-hub-unclean = 服务端上次没有正常停止（崩溃、被强制终止或断电），最后一次活动在 { $since }。各设备已保留此后的事件，正在补发。
system-hub-away-title = 服务端 已恢复
system-hub-away = 服务端自 { $since } 起停止运行，现已恢复。各设备已保留此后的事件，正在补发。
system-hub-down-title = 服务端 已停止
system-hub-down = { $code ->
    [watchdog] 服务端长时间没有响应，已被 systemd 终止
    [signal] 服务端被信号终止：{ $text }
    [core-dump] 服务端进程崩溃：{ $text }
    [oom-kill] 内存不足，服务端被内核终止
    [timeout] 服务端未能按时启动或停止
    [exit] 服务端以退出码 { $text } 退出，没有留下错误信息
    [unknown] 服务端没有运行，原因不明
   *[other] { $text }
}。恢复之前不再推送；期间的事件由各设备保留。查看：journalctl -u olog-hub
system-new-devices-title = 新设备
system-new-devices = 已加入的设备：{ $devices }。
system-pending-devices-title = 待批准
system-pending-devices = 等待批准的设备：{ $devices }。查看：olog-hub device list --pending
system-config-refused-title = 配置 未生效
system-config-refused = { $findings }。新配置未生效，继续使用旧配置{ $n ->
    [one] 。
   *[other] ；新配置共有 { $n } 处错误。
}
system-epoch-renewed-title = 重新编号
system-epoch-renewed = { $device } 的事件已重新编号：{ $why }。未确认的事件会重新发送；不会丢失，但可能重复。
system-gap-title = 事件缺失
system-gap = { $device } 缺少 { $n } 个事件：服务端可能是从备份恢复的。
system-certificate-refused-title = 证书无效
system-certificate-refused = 新证书没有启用，仍使用旧证书：{ $why }
system-device-limit-title = 达到上限
system-device-limit = { $limit ->
    [events_per_day] { $device } 今天已发送 { $n } 个事件。之后的事件仍会触发和结束故障，但不再保存其内容。
    [bytes_per_day] { $device } 今天的事件已达 { $n } 字节。之后的事件仍会触发和结束故障，但不再保存其内容。
    [tasks] { $device } 已有 { $n } 个任务。新任务的事件只计数：请检查是否有程序每次都使用新的文件名。
    [open_incidents] { $device } 的错误太多：{ $n } 个故障未恢复。在数量减少之前，新的错误只保存，不再触发故障。
    [open_incidents_of_user] { $device } 上的一个用户引发的未恢复故障，已占该设备上限（{ $n }）的一半，或其他用户剩余部分的一半。在数量减少之前，该用户新的错误只保存，不再触发故障；其他用户和 root 的错误照常通知。
   *[notes_per_hour] { $device } 一小时内已发送 { $n } 条消息。本小时内之后的消息只保存，不推送。
} 上限由 hub.toml 的 limits.{ $limit ->
    [open_incidents_of_user] open_incidents
   *[other] { $limit }
} 设定。
system-device-renamed-title = 设备改名
system-device-renamed = 设备 { $name } 已改名为 { $device }。如果不是您的操作：olog-hub device rename { $device } { $name }
system-two-machines-title = 密钥重复
system-two-machines = 两台机器正在使用 { $device } 的密钥：{ $addresses }。其中一台是克隆：请在那台机器上删除 state_dir，再重新加入。
system-legacy-client-title = 旧版客户端
system-legacy-client = { $code ->
    [legacy_name] { $addresses } 上的旧版客户端（olog.py）使用了设备 { $name } 的名称，而该设备已运行 olog-agent。服务端拒绝了它的连接。如果是同一台机器，请停止 olog.py 并从 crontab 中删除；否则请给旧版客户端换一个名称。
    [legacy_twice] 两个旧版客户端（olog.py）使用同一个名称 { $name }：服务端拒绝了第二个（{ $addresses }）。请给其中一个换一个名称。
    [legacy_clock] 旧版客户端 { $name }（olog.py，{ $addresses }）的时钟与服务端相差 { $n } 秒。旧协议只允许相差 10 秒，因此服务端拒绝了它的连接。请校准它的时钟，例如：timedatectl set-ntp true
   *[other] 旧版客户端 { $name }（olog.py）发送的内容超出上限：{ $text }。请清理它的日志目录，或在那里安装 olog-agent。
}
system-unreadable-title = 事件无法入库
system-unreadable = { $device } 的第 { $n } 号事件无法写入数据库，已标记为不可读；后续事件不受影响。
agent-problem = { $code ->
    [log_dir_missing] { $path } 的日志目录不存在
    [log_dir_unreadable] { $path } 的日志目录无法读取
    [log_dir_hidden] { $path } 的日志目录被沙箱屏蔽
    [log_dir_full] { $path } 所在磁盘使用率超过 90%
    [file_unreadable] { $path } 无法读取
    [watch_limit] inotify 数量达到上限，部分目录改为定时轮询
    [too_many_folders] 目录过多，超出部分未监视
    [spool_full] 暂存已满，已暂停读取
    [disk_full] 磁盘无法写入
    [not_cleanable] { $path } 的旧日志无法删除
    [spool_damaged] 暂存损坏，原文件已另存
    [spool_unreadable] 暂存有一部分无法读取
    [epoch_renewed] 事件已重新编号
    [config_refused] 新配置未生效，继续使用旧配置
    [run_not_started] 任务 { $path } 未启动：上一次运行还没结束
   *[other] 见原文
}
system-agent-note-title = 客户端
system-agent-note = { $device } 的客户端有问题：{ $problem }。原文：{ $text }
system-agent-note-over-title = 客户端恢复
system-agent-note-over = { $device } 的客户端已恢复，原来的问题：{ $problem }。原文：{ $text }
system-channel-failing-title = 通道 故障
system-channel-failing = 通道 { $channel } 推送失败（{ $answer }）。未送出的消息保留 7 天，恢复后补发。
system-channel-back-title = 通道 恢复
system-channel-back = { $since ->
    [none] 通道 { $channel } 已恢复。
   *[other] 通道 { $channel } 已于 { $time } 恢复。此前自 { $since } 起无法发送，积压的消息已随即补发。
}
system-receiver-refused-title = 接收人 被拒
system-receiver-refused = 通道 { $channel } 拒绝接收人 { $receiver }：{ $answer }。其他接收人不受影响。请让对方重新关注，或从配置中删除。
system-expired-title = 通知 已过期
system-expired = 通道 { $channel } 有 { $n } 条通知 7 天内未能送出，已放弃。查看：olog-hub incident list --all
system-ghost-tasks-title = 轮转产生的任务
system-ghost-tasks = 有 { $n } 个任务像是日志轮转留下的旧文件名：{ $what }。合并第一个：{ $command }。也可以用 olog-hub task forget 删除。
system-values-unreadable-title = 数据无法读取
system-values-unreadable = 当前版本的 Olog 无法读取 { $n } 项已存数据（{ $what }）：{ $why }。数据已保留，其他功能不受影响。如果降级过版本，请重新安装较新的版本，它会补发未送出的消息。查看：olog-hub status
system-store-trouble-title = 磁盘 曾有故障
system-store-trouble = 服务端有一段时间无法写入数据库，现已恢复：{ $text }。期间的事件各设备均已保留。
system-store-recovered-title = 数据库 损坏
system-store-recovered = 数据库损坏，原文件已另存为 { $path }。服务端已改用新数据库：只存在于旧库中的内容在这里看不到。
system-report-page-title = 日报 页面
system-report-page = 日报页面无法通过链接打开，改为在消息中发送全文：{ $why }
system-report-listing-title = 日报 目录可见
system-report-listing = { $path } 会列出目录内的文件：知道该地址的人都能看到全部日报。请关闭目录列表（nginx：autoindex off）。
system-watchdog-failing-title = 心跳 发送失败
system-watchdog-failing = 向 { $host } 发送的心跳已连续三次失败：{ $why }。服务端本身正常，但对方会误判它已停止；如果它真的停止，也不会有人知道。
system-watchdog-back-title = 心跳 恢复
system-watchdog-back = { $host } 已恢复接收服务端的心跳。
system-duty-failing-title = 服务端 故障
system-duty-failing = 服务端的一项工作（{ $duty }）已连续失败 10 分钟：{ $error }。其余工作照常。详情：`olog-hub status`，`journalctl -u olog-hub`。
system-duty-back-title = 服务端 恢复
system-duty-back = 服务端失败的那项工作（{ $duty }）已恢复。
system-hub-unreachable-title = 服务端 失联
system-hub-unreachable = { $device } 自 { $since } 起无法连接服务端（{ $why }）。恢复之前，由它自己推送本机的异常和消息；期间无法判断设备失联和任务未运行。
system-hub-reachable-title = 服务端 恢复
system-hub-reachable = { $device } 已恢复与服务端的连接，中断了 { $span }（自 { $since } 起）。服务端未收到的事件现在补发。
system-channel-test-title = 测试
system-channel-test = 这是通道 { $channel } 的测试消息，发送过程与告警相同。

## 日报推送
state-report = 日报
state-ok = 正常
state-task-lost = 未运行
state-note = 客户端
state-channel = 通道故障
report-all-ok = 全部正常
report-all-ok-of = 全部正常 { $devices }台{ $tasks }任务
report-ok-now = 现已正常 昨起{ $n }起
report-no-devices = 还没有设备
report-n-err = 异常{ $n }
report-n-lost = 失联{ $n }
report-n-task-lost = 未运行{ $n }
report-n-ok = 正常{ $n }
report-n-to-do = { $n }项待处理
report-telling-task-lost = { $name } 已 { $span }未运行
report-telling-task-err = { $name } 异常已持续 { $span }
report-telling-device-lost = { $name } 已失联 { $span }
report-telling-devices-lost = { $n } 台设备已失联 { $span }
report-telling-note = { $name } 的客户端有问题
report-telling-channel = 通道 { $name } 推送失败
report-window-good = 自 { $from } 起 { $span }内：没有异常，没有失联。{ $devices } 台设备，{ $tasks } 个任务。
report-window-over = 自 { $from } 起 { $span }内：出现过问题，均已恢复。{ $devices } 台设备，{ $tasks } 个任务。
report-window-bad = 自 { $from } 起 { $span }内：{ $devices } 台设备，{ $tasks } 个任务。
report-to-do = 待处理 { $n } 项：
report-over = 已恢复 { $n } 项。
report-last-done = 最近一次完成：{ $time }（{ $name }）。
report-changed = 新增 { $new } 项，消失 { $gone } 项。
report-sent = 推送成功 { $sent } 条，被拒 { $refused } 条。
report-waiting = 待发 { $n } 条。
report-channels-failing = 故障的通道：{ $channels }。
report-open = 打开日报
report-comes-and-goes = 时好时坏
report-begun = 第 { $n } 次，首次 { $time }
report-recovered = { $time } 恢复
report-telling-comes-and-goes = { $name } 时好时坏，已出错 { $n } 次
report-with-tasks = { $name }（{ $tasks }）
report-devices-ok = 正常 { $n } 台：{ $devices }{ $more ->
    [0] { "" }
   *[other] {" "}等
}
report-due = 应于 { $time } 运行
report-last-good = 上次正常 { $time }
report-not-acknowledged = 未确认
report-more = 还有 { $n } 项
report-head-over = 已恢复
report-head-new = 新增
report-head-gone = 消失
report-head-devices = 设备
report-inline = 获取日报页面：olog-hub report show { $number } --html report.html

## 日报页面
format-day-only = %m-%d
page-all-ok = 全部正常
page-ok-now = 现已正常，期间 { $n } 起已恢复
page-same-error = 同一错误 { $n } 处
page-proof-more = 还有 { $n } 个按时完成
page-no-devices = 还没有设备加入
page-to-do = { $n } 项待处理
page-made = { $time } 生成
page-devices = 设备
page-tasks = 任务
page-over = 已恢复
page-over-title = 上次日报以来已恢复
page-changed = 变化
page-new = 新增
page-new-mark = 新
page-gone = 消失
page-now = 待处理
page-proof = 顺利完成
page-since = 自 { $time } 起（{ $span }）
page-times = 共 { $n } 次
page-acknowledged = 已于 { $time } 确认
page-same-site = { $n } 台（出口地址相同）
page-fleet = { $n } 天，其中 { $good } 天无异常
page-strip = { $n } 天：正常 { $ok }，异常 { $err }，失联 { $lost }
page-proposal = 新的运行规律
page-proposed = { $name }：{ $reason }
page-disk-full = { $name } 磁盘将满（自 { $time } 起）：{ $text }
page-renamed = 改名
page-rebooted = 重启
page-n-ok = 正常 { $n } 台
page-heard = 最近一次联系：{ $time }
page-next = 下次 { $time }
page-last-error = 最近一次错误：{ $time }
page-devices-left = 还有 { $n } 台设备：
page-key = 每条色带代表 30 天，最右为今天：短 = 正常，长 = 异常，空心 = 失联或未运行，细线 = 无数据。
page-health = Olog 自身状态
page-well = 一切正常。
page-no-channel = 没有配置通道：出现问题时不会通知任何人。
page-one-channel = 只有一个通道：如果它发生故障，不会有人收到通知。
page-channel = 成功 { $sent } 条，被拒 { $refused } 条
page-waiting = 待发 { $n } 条
page-left-today = 今日剩余 { $n } 条
page-next-slot = 下一条额度 { $time } 释放
page-channel-gone = { $n } 条待发；该通道已不在配置中。若 7 天内仍未恢复配置，则放弃。
page-failing = 故障：{ $why }
page-no-link = 本页没有可打开的链接：{ $why }
page-beyond-incidents = { $name } 未结束的故障已达上限 { $max }：超出的 { $n } 个错误没有生成故障，因此显示为正常的任务可能正在出错。
page-beyond-tasks = { $name } 的任务数已达上限 { $max }：其他任务的 { $n } 个事件只计数，这些任务没有列出。
page-clock-ahead = { $name } 的时钟快了 { $span }。
page-clock-behind = { $name } 的时钟慢了 { $span }。
page-legacy = 旧版客户端（olog.py）
page-other-versions = 与服务端版本不同：{ $names }
page-backup = 最近备份 { $time }。
page-next-report = 下次日报：{ $time }。
page-lives = 此页保留 { $n } 天。
page-how = 暂停告警：olog-hub silence add --device NAME --for 2h。不再提醒某个故障：olog-hub incident ack N。设备不再使用：olog-hub device forget NAME。
report-telling-never-joined = { $name } 从未加入
report-never-joined = 从未加入
page-due-since = 应于 { $time } 运行（{ $span }前）
page-missed = 错过 { $n } 次
report-comma = ，
report-over-site = 已恢复 { $n } 项（其中 { $devices } 台设备曾失联，最长 { $span }）。
