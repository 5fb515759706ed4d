//! Pages of the book that are made from the code: every configuration key, every figure of `/metrics`, and every verb.
//!
//! The Chinese page is the English one: `docs/book/zh-CN/reference.txt` has the sentences of the rows, `packaging/manual.zh-CN.txt` those of the verbs.
//! After a change of a row or a verb: `OLOG_WRITE_REFERENCE=1 cargo test -p olog-journeys reference`.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use olog_daemon::config::{Absent, Key, Kind};
use olog_hub::web::{METRICS, MetricKind};

use super::translations::{LANGUAGES, Language, Translations};

const WRITE: &str = "OLOG_WRITE_REFERENCE";

const KEYS_HEAD: [&str; 2] = [
    "# Every key

This page is generated from the registry of keys by which the programs read their files. All keys are optional unless *required* is written; an unknown key is a mistake, and `check` names the nearest known one.
`olog-hub check` and `olog-agent check` print the values in force. How files are found, merged and read again: [operations](https://github.com/RainGather/olog/blob/main/docs/operations.md#configuration).

A *time span* is written as `\"100ms\"`, `\"60s\"`, `\"10m\"`, `\"12h\"` or `\"7d\"`; a *size* as `\"1GiB\"`, `\"500MB\"` or a number of bytes; a relative path is meant from the file's folder. A *secret* is
written as `KEY`, or kept in a separate file that `KEY_file` names (relative: in `$CREDENTIALS_DIRECTORY` if it is there, else in `secrets/hub/` or `secrets/agent/` beside the configuration).
",
    "# 全部的键

本页由程序读取配置所用的键表生成。除了标明“必填”的，所有键都可以省略；不认识的键算错误，`check` 会给出最接近的键名。`olog-hub check` 和 `olog-agent check` 打印生效的值。配置文件怎样查找、合并和重新读取：[运维手册（英文）](https://github.com/RainGather/olog/blob/main/docs/operations.md#configuration)。

**时长**写作 `\"100ms\"`、`\"60s\"`、`\"10m\"`、`\"12h\"` 或 `\"7d\"`；**大小**写作 `\"1GiB\"`、`\"500MB\"` 或字节数；相对路径从配置文件所在的文件夹算起。**密钥**可以直接写成 `KEY`，也可以放在单独的文件里，用 `KEY_file` 指明（相对路径：有 `$CREDENTIALS_DIRECTORY` 时在其中查找，否则在配置文件旁边的 `secrets/hub/` 或 `secrets/agent/` 中）。
",
];

const METRICS_HEAD: [&str; 2] = [
    "# Every metric

`GET /metrics` of the hub, in the format of Prometheus. It answers on loopback, and from elsewhere with an API token (`olog-hub token create prometheus --scope read`). A counter is there from the start with 0, with every
value of its label that is listed here; the figures of workers and duties come within the first seconds. A restart of the hub starts all of them anew.

Ready-made alert rules, a scrape configuration and a Grafana dashboard: [deploy/](https://github.com/RainGather/olog/blob/main/deploy/README.md).

",
    "# 全部的指标

服务端的 `GET /metrics`，格式与 Prometheus 相同。它答复本机（环回地址）；从别处访问时要带 API 令牌（`olog-hub token create prometheus --scope read`）。计数器从启动起就以 0 存在，本页列出的每个标签值都有；工作线程及其各项工作的指标在最初几秒内出现。服务端重启后全部重新计数。

现成的告警规则、抓取配置和 Grafana 仪表板：[deploy/](https://github.com/RainGather/olog/blob/main/deploy/README.md)。

",
];

#[test]
fn the_pages_of_keys_and_metrics_are_those_of_the_rows() {
    for language in LANGUAGES {
        let words = Translations::of_rows(language);
        compare(language, "configuration.md", &keys_page(&words));
        compare(language, "metrics.md", &metrics_page(&words));
    }
}

#[test]
fn every_translated_row_is_one_of_the_pages() {
    let words = Translations::of_rows(Language::English);
    let pages = keys_page(&words) + &metrics_page(&words);
    for english in Translations::of_rows(Language::Chinese).english() {
        assert!(pages.contains(&in_cell(english)), "no page has {english:?}");
    }
}

/// Compares a page with its file, or writes it.
pub(super) fn compare(language: Language, name: &str, made: &str) {
    let path = language.book().join(name);
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, made).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == made,
        "{} is of other code: {WRITE}=1 cargo test -p olog-journeys reference",
        path.display()
    );
}

#[test]
fn a_row_is_shown_with_its_kind_its_default_and_its_words() {
    static KEYS: &[Key] = olog_daemon::keys! {
        /// How long | it takes.
        "push.after", Span(std::time::Duration::from_secs(1)), Is("\"60s\""), "0.1";
        /// Tables.
        "push.channel", Tables, Unset, "0.2";
    };
    let rows = table(&Translations::of_rows(Language::English), KEYS);
    assert!(
        rows.contains("| `push.after` | How long \\| it takes. | time span from 1s | `\"60s\"` | 0.1 |\n"),
        "{rows}"
    );
    assert!(rows.contains("| `[[push.channel]]` | Tables. | tables | – | 0.2 |\n"), "{rows}");
}

#[test]
fn every_figure_that_the_code_counts_is_a_row_and_every_row_is_counted() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut counted = BTreeSet::new();
    for entry in walk(&sources) {
        let text = fs::read_to_string(&entry).unwrap();
        for call in ["counter!(", "gauge!(", "histogram!("] {
            for rest in text.split(call).skip(1) {
                let name = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                counted.extend(name.filter(|name| name.starts_with("olog_")).map(str::to_owned));
            }
        }
    }
    let rows: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(counted, rows);
    assert!(METRICS.is_sorted_by_key(|metric| metric.name));
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

fn keys_page(words: &Translations) -> String {
    let language = words.language();
    let mut page = KEYS_HEAD[language as usize].to_owned();
    section(words, &mut page, "agent.toml", "", olog_agent::config::KEYS);
    section(words, &mut page, "hub.toml", "", olog_hub::config::KEYS);
    let of_channels = match language {
        Language::English => {
            "`[[channel]]` in `hub.toml`, `[[push.channel]]` in `agent.toml`. What each service needs, its limits, and types of your own: [channels](channels.md).\n"
        }
        Language::Chinese => {
            "`hub.toml` 里的 `[[channel]]`，`agent.toml` 里的 `[[push.channel]]`。每种服务需要什么、有什么上限，以及怎样自定义类型：[通道](channels.md)。\n"
        }
    };
    for (name, rows) in olog_push::channel::registry() {
        let title = match (name, language) {
            ("http", _) => {
                page.push_str(&table(words, rows));
                continue;
            }
            ("", Language::English) => "Channel".to_owned(),
            ("", Language::Chinese) => "通道".to_owned(),
            (name, Language::English) => format!("Channels of type `{name}`"),
            (name, Language::Chinese) => format!("`{name}` 类型的通道"),
        };
        section(words, &mut page, &title, if name.is_empty() { of_channels } else { "" }, rows);
    }
    page.push_str(match language {
        Language::English => {
            "\n## Channels of the other built-in types\n\n| type | key | kind | |\n|---|---|---|---|\n"
        }
        Language::Chinese => "\n## 其他内置类型的通道\n\n| 类型 | 键 | 值的种类 | |\n|---|---|---|---|\n",
    });
    for (of, key, kind, is_needed) in olog_push::ChannelCatalog::built_in().described_keys() {
        let needed = if is_needed { words.get("required") } else { String::new() };
        writeln!(page, "| `{of}` | `{key}` | {} | {needed} |", words.get(kind)).unwrap();
    }
    let own = match language {
        Language::English => "The format is explained with an example in [channels](channels.md#a-type-of-your-own).\n",
        Language::Chinese => "格式的说明和示例见[通道](channels.md#自定义类型)。\n",
    };
    section(words, &mut page, "channels.d/NAME.toml", own, olog_push::channel::TYPE_KEYS);
    page
}

fn section(words: &Translations, page: &mut String, title: &str, head: &str, rows: &[Key]) {
    write!(page, "\n## {title}\n\n{head}").unwrap();
    if !head.is_empty() {
        page.push('\n');
    }
    page.push_str(match words.language() {
        Language::English => "| key | meaning | kind | default | since |\n|---|---|---|---|---|\n",
        Language::Chinese => "| 键 | 含义 | 值的种类 | 默认值 | 版本 |\n|---|---|---|---|---|\n",
    });
    page.push_str(&table(words, rows));
}

fn table(words: &Translations, rows: &[Key]) -> String {
    let mut text = String::new();
    for row in rows {
        let key = match row.kind {
            Kind::Table => format!("[{}]", row.path),
            Kind::Tables => format!("[[{}]]", row.path),
            _ => row.path.to_owned(),
        };
        let default = match row.default {
            Absent::Unset => "–".to_owned(),
            Absent::Is(value) => format!("`{value}`"),
            Absent::Found(found) => words.get(found),
            Absent::Wrong(_) => words.get("required"),
        };
        let cells = [words.get(row.doc.trim()), kind(words, row.kind), default, row.since.to_owned()];
        writeln!(text, "| `{key}` | {} |", cells.map(|cell| in_cell(&cell)).join(" | ")).unwrap();
    }
    text
}

/// What may stand in a key, in words.
fn kind(words: &Translations, kind: Kind) -> String {
    let english = kind.to_string();
    if words.language() == Language::English {
        return english;
    }
    match kind {
        Kind::Choice(choices) => choices.iter().map(|word| format!("{word:?}")).collect::<Vec<String>>().join(" 或 "),
        Kind::Int(from, i64::MAX) => format!("整数，不小于 {from}"),
        Kind::Int(from, to) => format!("整数，{from} 到 {to}"),
        // `time span from 1s`, `size from 1MiB`
        _ => match english.split_once(" from ") {
            Some((kind, least)) => format!("{}，不小于 {least}", words.get(kind)),
            None => words.get(&english),
        },
    }
}

fn in_cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn metrics_page(words: &Translations) -> String {
    let language = words.language();
    let mut page = METRICS_HEAD[language as usize].to_owned();
    page.push_str(match language {
        Language::English => "| metric | meaning | kind | labels |\n|---|---|---|---|\n",
        Language::Chinese => "| 指标 | 含义 | 种类 | 标签 |\n|---|---|---|---|\n",
    });
    for metric in METRICS {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let mut labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        if !metric.values.is_empty() {
            labels.push(format!("({})", metric.values.join(", ")));
        }
        let cells = [format!("`{}`", metric.name), words.get(metric.doc), kind.to_owned(), labels.join(" ")];
        writeln!(page, "| {} |", cells.map(|cell| in_cell(&cell)).join(" | ")).unwrap();
    }
    page
}
