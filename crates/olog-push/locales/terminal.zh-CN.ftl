# 服务端命令行的文字。键与 terminal.en.ftl 相同，由 olog-hub 的测试核对。

## 各命令：每条一句话
cli-unknown = 没有名为“{ $name }”的{ $what ->
    [device] 设备
   *[task] 任务
}；规则已保留，以后出现同名的即生效
cli-unknown-near = 没有名为“{ $name }”的{ $what ->
    [device] 设备
   *[task] 任务
}，是不是“{ $nearest }”？
cli-acknowledged = { $count ->
    [1] 已确认 { $one }：7 天内或恢复之前不再提醒；新错误和恢复仍会推送。
   *[other] 已确认 { $count } 个故障（{ $numbers }）：7 天内或恢复之前不再提醒；新错误和恢复仍会推送。
}
cli-closed = { $count ->
    [1] 已关闭 { $one }。再次出错时会再次推送。
   *[other] 已关闭 { $count } 个故障（{ $numbers }）。再次出错时会再次推送。
}
cli-incident-over = 故障 #{ $n } 已经结束
cli-incident-unknown = 没有故障 #{ $n }，请查看：olog-hub incident list --all
cli-none-open = 这些编号中没有未结束的故障。
cli-no-incident = 没有未结束的故障。
cli-acknowledged-mark = * 已确认
cli-legacy = { $name }（旧版客户端）
cli-device-accepted = 已接受 { $name }，它会在 10 秒内自动连接。
cli-device-forgotten = 已移除 { $name }，它的密钥从现在起无效。要让它重新加入：olog-hub join-link --device { $name }
cli-device-renamed = { $old } 现在叫 { $name }。
cli-task-forgotten = 已从列表和日报中移除 { $task }，直到它再次出现。
cli-task-renamed = { $old } 现在叫 { $task }，旧名下的事件归入新名。
cli-task-merged = { $old } 已并入 { $task }，旧名下的事件也归入那里。
cli-task-expected = 重新监视 { $task } 是否按时运行：以 hub.toml、所在机器的时间表或学到的规律为准；提议中的时间表从现在起生效。
cli-task-not-expected = 不再监视 { $task } 是否按时运行，未运行也不通知。要恢复，把 off 换成 on。
cli-channel-rearmed = 通道 { $name }：暂停和被拒的接收人现在重试，今日额度已恢复。
cli-password = 密码（至少 10 个字符）
cli-no-password = olog-hub：没有给出密码，未作任何改动
cli-user-added = 已添加 { $name }，请在服务端网页登录。
cli-user-password = 已为 { $name } 设置新密码，其所有登录均已失效。
cli-user-removed = 已移除 { $name }，其所有登录均已失效。
cli-user-totp-off = { $name } 现在只用密码登录。新的两步验证在账号页面添加。
cli-user-logged-out = 已让 { $name } 的 { $n } 个登录失效。
cli-ping-key =
    { $name } 上的作业向 { $url } 发送 ping（SLUG 为小写的任务名；加上 ?create=1，首次 ping 时会自动创建任务）。
    { $name } 的 ping 密钥只在此时显示一次： { $key }
cli-ping-key-removed = 已移除 { $name } 的 ping 密钥，从现在起无效。
cli-ping-key-none = { $name } 没有 ping 密钥。
cli-ping-url = { $task } 的 ping 地址只在此时显示一次： { $url }
cli-ping-url-removed = 已移除 { $task } 的 ping 地址，从现在起无效。
cli-ping-url-none = { $task } 没有单独的 ping 地址。
cli-token-created = 令牌“{ $name }”只在此时显示一次： { $token }
cli-token-revoked = 已吊销“{ $name }”，从现在起无效。
cli-silence-now = 静音规则 { $n }：{ $scope } 静音到 { $until }。提前结束：olog-hub silence end { $n }
cli-silence-later = 静音规则 { $n }：{ $scope } 将从 { $from } 静音到 { $until }。取消：olog-hub silence end { $n }
cli-silence-every = 静音规则 { $n }：{ $scope } 按“{ $every }”每次静音 { $lasts }，下次 { $from } 到 { $until }。结束：olog-hub silence end { $n }
cli-silence-endless = 静音规则 { $n }：{ $scope } 的这个错误不再推送。撤销：olog-hub silence end { $n }
cli-silence-ended = { $held ->
    [0] 静音规则 { $n } 已结束，期间没有暂存的通知。
   *[other] 静音规则 { $n } 已结束，暂存的 { $held } 项中仍有问题的现在通知。
}
cli-not-an-error = 静音规则 { $n }（{ $scope }）：{ $comment }。撤销：olog-hub silence end { $n }
cli-not-an-error-closed = 故障 #{ $n } 已关闭。
cli-report-no-channel = 没有接收日报的通道，未推送
cli-report-page-gone = 网页已过保存期（report.keep_days），以下是文字版
cli-written = 已写入：{ $file }
cli-not-written = 无法写入 { $file }：{ $why }；以下是文字版
cli-link = 在设备上运行：sudo olog-agent join '链接'。链接 { $span }内有效，可供 { $uses } 台设备使用。
cli-link-local = 在本机运行：olog-hub join-link --local | olog-agent join。链接 { $span }内有效，可供 { $uses } 台设备使用。

## 推送服务的回答
sent-accepted = { $receiver }：推送服务已接受（{ $answer }），请看手机
sent-refused = { $receiver }：推送服务拒绝：{ $answer }
sent-later = { $receiver }：尚未接受：{ $answer }
sent-no-answer = 还没有回答：{ $channel } 可能正忙或连不上。服务端会继续重试，请查看：olog-hub channel list
sent-check-token = 怎么办：核对令牌是否属于 { $channel }，接收人是否已关注；运行 olog-hub setup 可重新填写。
sent-check-network = 怎么办：检查本机能否连上推送服务（DNS、防火墙、代理）。服务端会重试 7 天。

## 没有照办的原因
cli-refused-no-task = “{ $device }”没有任务“{ $task }”，请查看：olog-hub task list
cli-refused-no-device = 没有设备“{ $device }”，请查看：olog-hub device list
cli-refused-ping-key = 自 { $time } 起已有 ping 密钥，系统只保存它的散列值：请到使用它的作业中查找，或用 --new 更换
cli-refused-ping-url = 自 { $time } 起已有 ping 地址，系统只保存它的散列值：请到使用它的作业中查找，或用 --new 更换
cli-refused-declared = hub.toml 声明了它：请在那里删去，或用 olog-hub task expect 停止监视
cli-refused-same-task = 这两个名称已经是同一个任务
cli-refused-merge-declared = hub.toml 声明了要并走的任务：请先在那里删去
cli-refused-rename-declared = hub.toml 以旧名声明了它：请在那里改为“{ $task }”，再改名
cli-refused-name-taken = “{ $device }”已有任务“{ $task }”：请换一个名称，或先移除那个任务
cli-refused-former-name = “{ $task }”是“{ $holder }”的旧名，事件仍归入它：请换一个名称，或先把旧名还给它
cli-refused-no-scope = 请指明设备或任务；--device '*' 表示全部
cli-refused-silence-over = 静音规则 { $n } 已经结束
cli-refused-no-silence = 没有静音规则 { $n }，请查看：olog-hub silence list
cli-refused-no-task-incident = 故障 #{ $n } 不是任务的故障：只有任务的错误可以标为“不是错误”
cli-refused-no-such-error = 故障 #{ $n } 没有这个错误，它有：{ $known }

## task show
cli-task-head = { $task }：{ $state }{ $since ->
    [none] { "" }
   *[other] ，始于 { $since }
}{ $incident ->
    [none] 。
   *[other] （#{ $incident }）。
}
cli-task-why-lost = 应于 { $due } 运行，至今没有运行{ $n ->
    [1] 。
   *[other] ，已错过 { $n } 次。
}
cli-task-why-error = 出错 { $n } 次，没有迹象表明已恢复。
cli-task-why-inherited = 客户端首次查看时错误已经存在，没有通知过。
cli-task-why-device-lost = 设备已失联，不知道任务的最新情况；此前正常。
cli-task-why-waiting = 从未运行过，也还没到时间。
cli-task-why-ok = 没有未恢复的错误，也没有错过运行。
cli-task-running = 有一次运行始于 { $time }，尚未结束。
cli-task-good = 上次正常：{ $time }。
cli-task-failed = 上次出错：{ $time }。
cli-task-seen = 上次出现：{ $time }。
cli-task-was = 旧名：{ $names }
cli-task-expects-schedule = hub.toml 规定的运行时间：{ $schedule }，最多晚 { $grace }。
cli-task-expects-report = hub.toml 要求它在两次日报之间至少运行一次，间隔不足 26 小时的按 26 小时计。如果它出现过而从不写 .log，没有动静即为正常。
cli-task-expects-alarm = 不要求按时运行：hub.toml 声明了它，但它从不写 .log，没有动静即为正常。
cli-task-expects-learnt = 按学到的规律运行：{ $habit }（根据 { $span }内的 { $n } 次运行得出），自 { $time } 起监视。
cli-task-expects-proposed = 暂不要求按时运行；下次日报将提议：{ $habit }（根据 { $span }内的 { $n } 次运行得出）。
cli-task-expects-read = 按客户端在机器上读到的时间表运行：{ $schedule }，宽限 { $grace }，自 { $time } 起监视。
cli-task-expects-offered = 下次日报将提议：{ $schedule }（客户端在机器上读到的时间表）。现在就接受：{ $command }
cli-task-expects-dropped = 不要求按时运行：它不再遵守学到的规律，已于 { $time } 放弃。
cli-task-expects-nothing = 不要求按时运行：hub.toml 没有声明它，{ $n } 次运行也看不出规律。
cli-task-expects-off = 不要求按时运行：已由人工关闭。重新打开：{ $command }
cli-task-next = 下次应于 { $time } 运行。
cli-task-change-lost = 一旦运行即恢复正常。如果不必再运行：{ $command }
cli-task-change-error = 有一次运行正常结束即恢复，也可以手工关闭：olog-hub incident close { $n }
cli-task-change-inherited = 有一次运行正常结束即恢复。
cli-task-change-late = 如果到 { $time } 仍未运行，即为“未运行”。

## incident show
cli-incident-since = 始于 { $began }，尚未结束。
cli-incident-ended = 始于 { $began }，{ $ended } 恢复。依据：{ $ground }
cli-incident-seen = { $n ->
    [1] 出现 1 次：{ $last }。
   *[other] 出现 { $n } 次，最近一次 { $last }。
}
cli-incident-begun = 先后开始过 { $n } 次。
cli-incident-acknowledged = 已于 { $time } 确认。
cli-incident-not-acknowledged = 未确认。
cli-ground-ran = 任务已运行。
cli-ground-unexpected = 不再要求它按时运行。
cli-ground-back = 设备已恢复连接。
cli-ground-forgotten = 已由人工移除。
cli-ground-accepted = 通道已恢复接收。
cli-ground-merged = 它的任务已并入另一个任务。
cli-next-reminder = 下次提醒：{ $time }。
cli-no-reminder = 不提醒：{ $why }
cli-no-reminder-untold = 没有通知过任何人。
cli-no-reminder-due = 目前没有到期的提醒。
cli-no-reminder-report = 只有任务的故障才提醒；恢复之前日报会一直列出它。
cli-latest-text = 最近的内容：
cli-fingerprints = 错误特征（‹ 与 › 之间的部分忽略不计）：
cli-notifications = 通知：
cli-no-notifications = 没有发送过通知。
cli-told-with = ：{ $time }，第 { $id } 条消息{ $n ->
    [0] { "" }
   *[other] ，与另外 { $n } 项通知一起
}
cli-told-accepted = 已发送{ $with }
cli-told-refused = 被永久拒绝{ $with }，缩短为纯文本后也不行
cli-told-expired = 7 天内未能送出，已放弃；olog-hub incident list --all 中仍有
cli-told-silenced = { $n ->
    [0] 被静音规则暂存，请查看：olog-hub silence list
   *[other] 被静音规则 { $n } 暂存，请查看：olog-hub silence list
}
cli-told-calls = { $words }（尝试 { $n } 次）
cli-error-by = 错误来自 { $user }。
cli-end-by = 由另一个用户上报已恢复：{ $user }。
cli-waits-turn = 等待：即将发送
cli-waits-call = 等待：正在发送（最迟到 { $until }）
cli-waits-pause = 等待：通道已暂停（{ $why }），下次尝试 { $until }；或运行 olog-hub channel rearm
cli-waits-back-off = 等待：通道发送失败（{ $why }），下次尝试 { $until }
cli-waits-budget = 等待：今日已发 { $used }/{ $all } 条；随下一条消息发出，或在 { $until } 单独发出
cli-waits-quiet = 等待：免打扰时段；随下一条消息发出，或在 { $until } 单独发出
cli-waits-receivers = 已接受，但还差 { $receivers }；下次尝试 { $until }
cli-waits-refused = 等待：推送服务拒绝了它，却接受了别的；下次尝试 { $until }
cli-waits-gone = 等待：配置中已没有这个通道，7 天后放弃

## status：要处理的，最要紧的在前
status-good = 一切正常：{ $devices } 台设备中 { $connected } 台在线。
status-to-do = 有 { $n } 件事要处理：
status-store = 数据库 { $store } 没有响应，事件无法入库。请检查磁盘（df -h）和日志：journalctl -u olog-hub -n 50
status-refused = 修改后的配置有误，未采用，仍按旧配置运行：{ $why }。改好后检查：olog-hub check
status-no-channel = 没有配置通道，任何问题都不会通知：请运行 olog-hub setup
status-channel-paused = 通道 { $name } 已暂停，因为推送服务不认它的令牌：{ $why }。有 { $waiting } 条消息在等待。改好令牌后运行：olog-hub channel rearm { $name }
status-channel-failing = 通道 { $name } 推送失败：{ $why }。有 { $waiting } 条消息在等待，恢复后补发。测试：olog-hub channel test { $name }
status-channel-gone = 有 { $waiting } 条消息在等通道 { $name }，但配置里已没有它。7 天后放弃。
status-channel-budget = 通道 { $name } 今日额度已用完，有 { $waiting } 条消息等到 { $next }。如果推送服务那边已恢复：olog-hub channel rearm { $name }
status-channel-refused = 通道 { $name }：推送服务永久拒绝了 { $receivers }。改好接收人后运行：olog-hub channel rearm { $name }
status-incidents = 有 { $n } 个未确认的故障。全部：olog-hub incident list；确认：olog-hub incident ack { $ids }
status-worker = { $name } 自 { $since } 起一直失败：{ $why }
cli-identity-next = 下一个密钥是 { $key }。请重启 olog-hub：它会告知每个连接的客户端。{ $from } 之后运行：olog-hub identity rotate
cli-identity-rotated = 重启后本服务端的密钥是 { $key }。此前生成的加入链接使用旧密钥：请重新生成。
status-limit = { $device } 已达到 limits.{ $limit } 的上限（{ $max }）：超出 { $n } 个，最近一次 { $last }
status-set-aside = 数据库中有 { $n } 个值无法读取，已搁置，新版本也许能读。详见：olog-hub status --json
status-pending = 有 { $n } 台设备等待接受：olog-hub device list --pending
status-no-device = 还没有设备加入。生成链接：olog-hub join-link（本机：olog-hub join-link --local | olog-agent join）
status-no-link = 上次日报没有链接：{ $why }
status-declared = hub.toml 里声明了设备“{ $name }”，但没有这个名字的设备加入过。是不是“{ $nearest }”？
status-without-effect = hub.toml 里有 { $table }，此版本尚不支持，不起作用。

## status：现状
status-devices = 设备：{ $devices } 台中 { $connected } 台在线。
status-legacy = 其中 { $n } 台使用旧版客户端（olog.py）。
status-away = 不在线：{ $names }{ $more ->
    [0] 。
   *[other] {" "}等，另有 { $more } 台。
}
status-open = { $n ->
    [0] 故障：没有未结束的。
   *[other] 故障：{ $n } 个未结束，其中 { $acknowledged } 个已确认。
}
status-channels = 正常的通道：{ $names }。
status-one-channel = { $name } 是唯一的通道：它若失效，没有人会知道。
status-reports = 日报：上次 { $last }，下次 { $next }。
status-first-report = 日报：还没有，首次 { $next }。
status-url = 地址：{ $url }（监听 { $listen }）。
status-no-url = 地址：监听 { $listen }；未设置 public_url，推送里没有链接。
status-program = 版本 { $version }，数据库 { $store }。

## setup
setup-language = Language / 语言: zh-CN or en
setup-language-expected = expected / 应为: zh-CN or en
setup-begin = 将写入 { $file } 和一个密钥文件。直接回车即保留[方括号]里的值。
setup-zone-utc = 系统时区是 UTC。推送里的时间和日报的钟点以下面的时区为准。
setup-zone = 时区
setup-zone-expected = 应为 Asia/Shanghai、Europe/Berlin 或 UTC 这样的名称
setup-url-about =
    public_url：设备和浏览器访问服务端的地址，例如 https://hub.example.com:8765。
    加入链接和推送里的链接都要用到它。没有就填“-”。
setup-url = public_url
setup-url-in-hub-toml = hub.toml 里已设置，请在那里修改
setup-where =
    您在哪里看消息？WxPusher 应用没有数量限制；微信里 24 小时最多收到 10 条，服务端会节省使用。
setup-where-ask = 1：WxPusher 应用，2：微信
setup-one-or-two = 应为 1 或 2
setup-way =
    用哪种方式推送给您？
    1：极简推送，每部手机一个 SPT_…，在 https://wxpusher.zjiecode.com/docs/ 扫码获取
    2：自己的应用：在 https://wxpusher.zjiecode.com/admin/ 取得 AT_…，以及关注者的 UID_…，
       应用页面上可以查到
setup-way-ask = 1：SPT，2：应用
setup-token = 应用的 AT_…
setup-spt = SPT_…（多个用空格隔开）
setup-begins-with = 应以 { $mark } 开头
setup-uids = 接收人的 UID_…，用空格隔开
setup-uids-expected = 应为一个或多个 UID_…
setup-there = 保留已有的
setup-replace = { $file } 已存在且内容不同。要替换吗
setup-replace-edited = { $file } 被手工改过，替换会丢失其中的注释。要替换吗
setup-question-mark = ？
setup-yes-or-no = 应为 y 或 n
setup-written = 已写入：{ $file }
setup-agent = 本机的客户端也在这里设置（{ $file }）。
setup-device = 告警中本机的名称
setup-device-expected = 名称不能有控制字符，最多 64 字节
setup-address = 用 ssh 怎样登录本机，例如 ubuntu@10.20.0.233:22（显示在告警里；没有就填“-”）
setup-address-expected = 应为 user@host 或 user@host:port
setup-folder = { $folder } 里有日志文件。也要监视它吗
setup-loaded = 服务端已采用。正在发送测试消息……
setup-hub-off = 服务端没有运行，什么也没有发送。启动它：systemctl enable --now olog-hub
setup-hub-off-then = 然后运行：olog-hub channel test { $channel }
setup-next-report = 下次日报：{ $time }（{ $zone }）。
setup-only-channel = { $name } 是唯一的通道：它若失效，没有人会知道。建议再加一个 [[channel]]。
setup-next-here = 下一步，以 root 收集本机的日志：安装 olog-agent，然后运行：olog-hub join-link --local | olog-agent join
setup-next-others = 其他机器：在那里安装 olog-agent，再用这条命令给出的链接加入：olog-hub join-link
setup-invalid = { $findings }
    什么也没有写入
setup-before = { $findings }
    请先改好，再运行 olog-hub setup
setup-not-written = 无法写入 { $file }：{ $why }；什么也没有改动
setup-rights = olog-hub setup 要写入 { $files }：请以 root 运行（sudo olog-hub setup）
setup-declined = 什么也没有改动
setup-ended = 输入在“{ $question }”这一问处结束；什么也没有改动
setup-wrong = { $question }：{ $problem }；什么也没有改动
setup-cancelled = 已取消；什么也没有改动
setup-unreadable = 无法读取输入：{ $why }
setup-echo = 终端可能不再显示输入的字符，请运行：reset

## olog-agent: status and join, in the language of the terminal
agent-head = { $device }（olog-agent { $version }）：{ $hub }
agent-connected = 已连接 { $hub }
agent-not-connected = 未连接 { $hub }：{ $why }
agent-trying = 正在尝试
agent-not-joined = 尚未加入服务端：在服务端运行 `olog-hub join-link`，再用它打印的链接运行 `olog-agent join`
agent-not-joined-here = 尚未加入服务端：在服务端运行 `olog-hub join-link`，再用它打印的链接运行 `olog-agent join`；服务端就在本机：`olog-hub join-link --local | olog-agent join`
agent-waiting = 等待发送：{ $events } 个事件，{ $bytes } 字节；服务端已确认到第 { $acked } 号
agent-watching = 正在监视 { $folders } 个目录中的 { $files } 个文件
agent-running = 正在运行：{ $task }，自 { $since } 起（用户 { $uid }）
agent-skew = 本设备的时钟与服务端相差 { $span }
agent-note = 问题：{ $problem }（{ $path }{ $text }）
agent-stuck = 卡住：{ $worker } 没有进展
agent-failing = { $span }来一直失败：{ $duty }（{ $worker }）：{ $why }
agent-identity-rotated = 本设备的密钥从现在起是 { $key }。服务端不再接受旧密钥。
agent-identity-next = 下一个密钥是 { $key }，尚未启用：{ $why }。客户端每次连接时会再次告知服务端。
agent-identity-waits = 客户端还没有连上服务端
agent-joined = { $device } 已加入 { $hub }；{ $next }
agent-joined-connected = 运行中的客户端已连接
agent-joined-not-connected = 运行中的客户端尚未连接：{ $why }
agent-joined-start = 启动客户端：systemctl enable --now olog-agent
agent-joined-run = 启动客户端；本机没有 systemd：{ $command }
agent-joined-soon = 运行中的客户端会在半分钟内连接

## olog-agent: jobs, units and unit-failed
agent-jobs-none = 没有找到 crontab，也没有找到 systemd 定时器
agent-jobs-count = 共 { $jobs } 个任务，{ $silent ->
    [0] 全部会上报
   *[other] 其中 { $silent } 个不会上报
}
agent-job-schedule = 时间表：{ $schedule }
agent-job-schedule-next = 时间表：{ $schedule }；下次运行：{ $next }
agent-job-by-exec = 会上报：通过 `olog-agent exec` 运行
agent-job-by-log-dir = 会上报：写入日志目录
agent-job-by-units = 会上报：由 systemd 上报运行结果
agent-job-silent = 不会上报
agent-declare-where = 请把以下内容写入服务端的 hub.toml，并填上本设备在服务端的名称；如果已有该设备的 [[device]] 段，请把任务加进去。
agent-declare-zone = 时间表按服务端的时区计算；如果本机时区不同，请换算其中的小时。
agent-declare-then = 然后在服务端执行：olog-hub check（会列出接下来的运行时间），再执行 systemctl reload olog-hub。
agent-declare-others = 未声明：
agent-declare-none = 本机没有可声明的任务：crontab 中没有通过 `olog-agent exec` 运行的任务。
agent-declare-file-names = 通过文件上报，任务名由文件名决定；请按该名称声明
agent-declare-once = 开机后运行，没有时间表
agent-declare-several = 有多个时间表，而一个任务只能有一个；服务端会从运行记录中学习
agent-declare-calendar = 它的日历在服务端没有对应的写法；服务端会从运行记录中学习
agent-declare-anacron = 运行时间由 anacron 决定；服务端会从运行记录中学习
agent-declare-zone-unknown = 它的时区未知
agent-declare-only-failures = 只上报失败，所以漏跑一次与正常运行无法区分
agent-propose-none = 本机没有可以向服务端提议的任务。
agent-propose-others = 未提议：
agent-proposed = 已提议。服务端会在下次日报中列出；再过一天起，未按时运行即告警。
agent-proposed-known = 服务端已经按此监视。
agent-proposed-declared = hub.toml 已声明此任务，以其为准。
agent-proposed-refused = 服务端上已关闭对它的监视，以此为准。
agent-proposed-limit = 未接受：本设备已达到服务端的上限。
agent-proposed-invalid = 未接受：{ $why }
agent-proposed-unknown = 服务端的答复来自比本客户端更新的版本。
agent-proposed-accept = 要从现在起按此监视，请在服务端运行：
agent-not-proposed-connected = 没有提议：客户端未连接到服务端。可改为写入 hub.toml：
agent-not-proposed-old = 没有提议：服务端版本较旧，不接受时间表。可改为写入 hub.toml：
agent-not-proposed-answer = 不确定是否已提议：服务端没有及时答复。可改为写入 hub.toml：
agent-not-proposed = 没有提议：{ $why }。可改为写入 hub.toml：
agent-declare-learnt = 没有自己的 crontab 时间表；服务端会从运行记录中学习
agent-declare-no-name = 这一行没有直接写出任务名
agent-declare-twice = 同一任务的另一行；一个任务只有一个时间表
agent-job-crontab-line = 要让它上报，请把这一行换成：
agent-job-script-line = 要让它上报，请在脚本第一行下面加入：
agent-job-run-by = 要让它上报，请把它移到别处，并在原处放一个脚本，这样运行它：
agent-job-command = 要让它上报，请执行：
agent-units-on = 已打开：本机每个服务失败和恢复时都会上报（已写入 { $path }）
agent-units-was-on = 原来就已打开：{ $path } 已存在；没有改动
agent-units-off = 已关闭：服务不再上报（已删除 { $path }）
agent-units-was-off = 原来就是关闭的；没有改动
agent-units-not-root = 只有 root 可以执行：sudo olog-agent units on|off
agent-units-no-systemd = 本机没有运行 systemd；请在任务中使用 `olog-agent exec`
agent-units-not-shipped = 缺少 { $path }：请重新安装 olog-agent 软件包
agent-unit-failed = { $unit } 失败：已上报
agent-unit-counted = { $unit } 再次失败：已计数，一分钟内上报
agent-unit-good = { $unit }：已上报一次正常运行
agent-unit-nothing = { $unit }：没有需要上报的内容

## import: comments of the TOML
import-head = 由 olog.py 的配置 { $file } 导入。请先阅读，再用 --write 写入。
import-unknown-key = olog.cfg：未知的配置项“{ $key }”，已略去。
import-twice = olog.cfg：配置项“{ $key }”出现了不止一次，以最后一次为准。
import-wrong = olog.cfg：“{ $key }”的值无效，已略去；应为 { $expected }。
import-both-tasks = olog.cfg 中同时有“tasks”和“device_tasks”，两处的名称已合并。
import-two-addresses = olog.cfg：设备“{ $device }”有两个地址，其任务已合并。
import-gbk = olog.cfg 的编码是 GBK。
import-running = 本机正在运行 olog.py（进程 { $pid }：{ $command }）。两者同时运行时，每个问题会推送两次；Olog 正常工作后请停止 olog.py。
import-cron = { $file } 第 { $line } 行会启动 olog.py；Olog 正常工作后请删除该行。
import-bad-name = olog.cfg：“{ $name }”不能用作 Olog 中的名称，已略去。
import-written = 已写入：{ $files }。可用 check 检查；运行中的程序会在 5 秒内采用。
import-agent-keys = device、log_dirs 和 log_keep_days 属于本机的客户端：olog-agent import { $file }
import-public-url = 原来客户端连接服务器所用的地址。接入链接和推送中的链接会用到它：
import-html-dir = 与原来相同。页面在 keep_days（默认 7）天后删除，文件名无法猜测。
import-legacy = olog.py 的客户端可继续向本服务端报告，端口和 token 不变。最后一个旧客户端替换后，请删除这一节。
import-channel = 原配置中的 WxPusher 渠道。现在所有推送都由服务端发出，装有新客户端的设备不再需要 token。
import-channel-there = 本服务端已有推送渠道，因此略去 olog.cfg 中的 WxPusher 渠道。
import-no-channel = olog.cfg 中没有 token 和 uids；请用 olog-hub setup 设置推送渠道。
import-half-channel = olog.cfg 中 token 和 uids 只有其一，无法推送；请用 olog-hub setup 设置推送渠道。
import-known = olog.py 见过的设备和任务。它们在报告中不会标为 [NEW]，但目前并不要求它们必须运行：
import-known-device = olog.py 见过 { $device }。如果它的任务在每次报告之间都必须运行，请去掉以下三行的 #。
import-declared = 必须出现的设备和任务：到下次报告时仍未出现的，判为 LOST。运行间隔更长的任务，请为它设置 schedule。
import-log-dirs = /var/log/olog 是 Olog 自己的文件夹（olog-agent exec 会用到），其余是您原来的文件夹。
import-keep-days = 与原来相同，但尚未上报的文件不会被删除。
import-not-watched = 不再监视 olog.py 自身的输出。
import-push = 仅在连不上服务端时使用；平时由服务端推送。
import-join = 原来的服务器是 { $server }。要接入本设备，请在那里运行 olog-hub join-link --device { $device }，再在本机运行 olog-agent join LINK
import-join-local = 原来的服务器就在本机。要把本设备接入本机的服务端，请运行：olog-hub join-link --local --device { $device } | olog-agent join
import-join-here = 要接入本设备，请在服务端上运行 olog-hub join-link --device { $device }，再在本机运行 olog-agent join LINK
import-hub-keys = report_time、htmldir、htmlurl 和 device_tasks 属于服务端：olog-hub import { $file }
import-bad-address = olog.cfg：地址“{ $address }”无效，已略去；应为 [USER@]HOST[:PORT]。

## 客户端的安装包
cli-link-install = 在设备上运行这一行（Debian 系统；需要 curl：apt install curl）。它会从本服务端安装 olog-agent 并加入。{ $span }内有效，可供 { $uses } 台设备使用。
cli-device-behind = { $version }（落后于 { $newer }）
cli-packages-added = 新设备现在可以安装 { $name }。SHA-256：{ $sha256 }
cli-packages-removed = 不再提供 { $name }。
cli-packages-none = 本服务端没有可提供的客户端安装包：olog-hub packages add olog-agent_*.deb
cli-packages-none-of = 没有提供 { $architecture } 的安装包：olog-hub packages list
cli-packages-no-deb = 未添加：这不是 Debian 软件包（.deb）
cli-packages-cut-off = 未添加：文件不完整，请重新复制
cli-packages-control = 未添加：{ $why }
cli-packages-other = 未添加：这是软件包 { $package }，应为 { $expected }
cli-packages-architecture = 未添加：这个软件包的架构是 { $architecture }，应为 { $known } 之一
cli-packages-too-large = 未添加：文件超过 { $mib } MiB
cli-install-no-link = 标准输入中没有加入链接，没有安装任何东西
cli-install-root = 请以 root 身份运行这一行，没有安装任何东西
cli-install-debian = 这不是 Debian 系的系统（没有 apt-get），没有安装任何东西。其他系统请用 tar 包。
cli-install-installed = olog-agent 已经安装，保持不变；升级由 apt 完成。
cli-install-no-curl = 缺少 curl：apt install curl。没有安装任何东西
cli-install-architecture = 服务端没有适合这台机器的安装包（现有 { $known }），没有安装任何东西。这台机器的架构是
cli-install-download = 安装包下载失败，没有安装任何东西
cli-install-hash = 下载的安装包与服务端所列的不同（SHA-256 不一致），没有安装任何东西
cli-install-apt = apt 未能安装这个软件包，原因见上。这台机器没有加入
cli-install-not-joined = olog-agent 已经安装，但这台机器没有加入，原因见上。拿到新链接后运行：olog-agent join
cli-install-changed = olog：服务端发来的内容与这一行所期望的不同：可能是这一行生成之后安装包有了变化，也可能是传输途中被人改动。没有安装任何东西。请重新生成：olog-hub join-link --install
