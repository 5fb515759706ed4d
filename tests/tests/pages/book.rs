//! The book in `docs/book`: both languages have the same chapters and examples, and the examples do what the book says.
//!
//! The info string of a block says what it is: `toml,hub` and `toml,agent` go through `check` (`toml,type` is tried by a test of `olog-push`); `sh,run` is run with a hub and an agent, and so is
//! `cron`, without its five fields. `task=NAME` is the task that reports: from a `cron` line that is ERR while its tool fails and OVER when
//! it works again, from others what `state=` says. The tools of the recipes are stand-ins that fail or succeed.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use olog_journeys::{
    daemon::{program, run},
    world::{Agent, Hub, World},
};

/// What the recipes call.
const TOOLS: &[&str] = &[
    "borg",
    "certbot",
    "docker",
    "mosquitto_sub",
    "mysqladmin",
    "mysqldump",
    "openssl",
    "restic",
    "rsync",
    "smartctl",
    "systemctl",
    "zpool",
];

/// A block of an example.
#[derive(Debug)]
struct Block {
    chapter: String,
    info: String,
    text: String,
}

impl Block {
    fn kind(&self) -> &str {
        self.info.split(',').next().unwrap_or_default()
    }

    fn has(&self, word: &str) -> bool {
        self.info.split(',').any(|one| one == word)
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.info.split(',').find_map(|one| one.strip_prefix(key)?.strip_prefix('='))
    }
}

fn book(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/book").join(language)
}

/// The chapters, in the order of the table of contents.
fn chapters(language: &str) -> Vec<String> {
    let summary = fs::read_to_string(book(language).join("src/SUMMARY.md")).unwrap();
    summary.split("](").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned()).collect()
}

fn blocks(language: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    for chapter in chapters(language) {
        let text = fs::read_to_string(book(language).join("src").join(&chapter)).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(info) = line.strip_prefix("```") {
                let body = lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
                blocks.push(Block { chapter: chapter.clone(), info: info.to_owned(), text: body });
            } else if let Some(line) = line.strip_prefix("    ") {
                blocks.push(Block { chapter: chapter.clone(), info: String::new(), text: format!("{line}\n") });
            }
        }
    }
    blocks
}

#[test]
fn both_languages_have_the_same_chapters_and_examples() {
    assert_eq!(chapters("en"), chapters("zh-CN"));
    let plain = |language| -> Vec<String> {
        let without_comment = |line: &str| line.split("# ").next().unwrap_or_default().trim_end().to_owned();
        let of_block = |block: Block| {
            let text: Vec<String> = block.text.lines().map(without_comment).collect();
            format!("{} {} {}", block.chapter, block.info, text.join("\n").replace("\"zh-CN\"", "\"en\""))
        };
        blocks(language).into_iter().map(of_block).collect()
    };
    assert_eq!(plain("en"), plain("zh-CN"));
    let chapters: Vec<PathBuf> =
        fs::read_dir(book("en").join("src")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(chapters.len(), self::chapters("en").len() + 1, "a chapter is not in SUMMARY.md: {chapters:?}");
}

/// The anchors of a page, as mdBook and GitHub make them of its headings.
fn anchors(page: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    let mut is_code = false;
    for line in page.lines() {
        is_code ^= line.starts_with("```");
        let Some(heading) = line.strip_prefix('#').filter(|_| !is_code) else { continue };
        let heading = heading.trim_start_matches('#').trim();
        let anchor = heading.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || "-_".contains(c) => Some(c.to_ascii_lowercase()),
            _ => None,
        });
        let anchor: String = anchor.collect();
        assert!(!anchors.contains(&anchor), "two headings {heading:?}");
        anchors.push(anchor);
    }
    anchors
}

/// Where links of a page lead, without those in code.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut is_code = false;
    for line in page.lines() {
        is_code ^= line.starts_with("```");
        if !is_code && !line.starts_with("    ") {
            let text: String = line.split('`').step_by(2).collect::<Vec<&str>>().join("`");
            links.extend(text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned));
        }
    }
    links
}

/// What is wrong with a link of a chapter: a chapter, a heading or a file of the repository that is not there.
fn broken(folder: &Path, chapter: &str, link: &str) -> Option<String> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = ["blob", "tree"]
        .iter()
        .find_map(|of| link.strip_prefix(&format!("https://github.com/RainGather/olog/{of}/main/")));
    let (file, anchor) = match (target, link.split_once('#')) {
        (Some(path), _) => {
            let (path, anchor) = path.split_once('#').unwrap_or((path, ""));
            (repository.join(path), anchor)
        }
        (None, _) if link.starts_with("https://") => return None,
        (None, Some(("", anchor))) => (folder.join(chapter), anchor),
        (None, Some((path, anchor))) => (folder.join(path), anchor),
        (None, None) => (folder.join(link), ""),
    };
    if !file.exists() {
        return Some(format!("{chapter}: {link} leads nowhere"));
    }
    let is_there = anchor.is_empty() || anchors(&fs::read_to_string(&file).unwrap()).iter().any(|one| one == anchor);
    (!is_there).then(|| format!("{chapter}: {link}: no such heading"))
}

#[test]
fn every_link_of_the_book_leads_somewhere() {
    let mut n = 0;
    let mut wrong = Vec::new();
    for language in ["en", "zh-CN"] {
        let folder = book(language).join("src");
        for chapter in chapters(language).into_iter().chain(["SUMMARY.md".to_owned()]) {
            let page = fs::read_to_string(folder.join(&chapter)).unwrap();
            assert!(!page.contains("{{#"), "{chapter}: an include is text to whoever reads the page on GitHub");
            let links = links(&page);
            n += links.len();
            wrong.extend(links.iter().filter_map(|link| broken(&folder, &chapter, link)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(n > 60, "{n}");
}

#[test]
fn every_link_of_the_other_pages_leads_to_a_page_and_a_heading() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let in_docs = fs::read_dir(repository.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = in_docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    let at_the_top = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md"];
    pages.extend(at_the_top.map(|name| repository.join(name)));
    let mut wrong = Vec::new();
    for page in pages {
        let (folder, name) = (page.parent().unwrap(), page.file_name().unwrap().to_str().unwrap());
        let links = links(&fs::read_to_string(&page).unwrap());
        wrong.extend(links.iter().filter_map(|link| broken(folder, name, link)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_link_to_a_chapter_or_heading_that_is_not_there_is_found() {
    let folder = book("zh-CN").join("src");
    let check = |link| broken(&folder, "messages.md", link);
    for good in ["start.md", "#客户端的问题", "troubleshooting.md#设备在运行却报失联", "https://example.com/no.md"]
    {
        assert_eq!(check(good), None);
    }
    for bad in ["gone.md", "#gone", "start.md#gone", "https://github.com/RainGather/olog/blob/main/docs/gone.md"] {
        assert!(check(bad).is_some(), "{bad}");
    }
    assert_eq!(links("[a](b.md) `[c](d.md)`\n```\n[e](f.md)\n```"), ["b.md"]);
}

/// A line break in a paragraph becomes a space, which does not belong between two Chinese characters.
#[test]
fn a_chinese_paragraph_is_one_line() {
    for chapter in chapters("zh-CN") {
        let page = fs::read_to_string(book("zh-CN").join("src").join(&chapter)).unwrap();
        let mut is_code = false;
        let mut before = "";
        for line in page.lines() {
            is_code ^= line.starts_with("```");
            let is_text = |line: &str| !line.is_empty() && !line.starts_with(['#', '|', '`']);
            let is_code_line = line.starts_with("    ");
            let begins =
                line.trim_start().starts_with("- ") || line.trim_start().starts_with(|c: char| c.is_ascii_digit());
            let goes_on = !is_code && is_text(before) && is_text(line) && !is_code_line && !begins;
            assert!(!goes_on, "{chapter}: join this line with the one before it:\n{line}");
            before = line;
        }
    }
}

#[test]
fn every_frame_of_the_book_is_a_golden_one() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/olog-proto/tests/wire");
    let mut n = 0;
    for block in blocks("en").into_iter().filter(|block| block.kind() == "json") {
        let name = block.value("frame").unwrap_or_else(|| panic!("{block:?}"));
        let text = fs::read_to_string(golden.join(format!("{name}.json"))).unwrap();
        let mut frame: serde_json::Value = serde_json::from_str(&text).unwrap();
        if let Some(first) = block.value("first") {
            frame["events"]["events"].as_array_mut().unwrap().truncate(first.parse().unwrap());
        }
        let shown: serde_json::Value = serde_json::from_str(&block.text).unwrap();
        assert_eq!(shown, frame, "{name}");
        n += 1;
    }
    assert!(n >= 5, "{n}");
}

#[test]
fn every_configuration_of_the_book_is_one_that_check_accepts() {
    let mut n = 0;
    for block in
        ["en", "zh-CN"].into_iter().flat_map(blocks).filter(|block| block.kind() == "toml" && !block.has("type"))
    {
        let (name, file) = if block.has("hub") { ("olog-hub", "hub.toml") } else { ("olog-agent", "agent.toml") };
        assert!(block.has("hub") || block.has("agent"), "{block:?}");
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("secrets/hub")).unwrap();
        for secret in block.text.split("_file = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let value = if secret.ends_with(".spt") { "SPT_x\n" } else { "AT_x\n" };
            fs::write(folder.path().join("secrets/hub").join(secret), value).unwrap();
        }
        fs::write(folder.path().join(file), &block.text).unwrap();
        let said = run(Command::new(program(name)).args(["check", "--config"]).arg(folder.path().join(file)));
        assert_ne!(said.status.code(), Some(78), "{block:?}\n{}{}", said.out, said.err);
        n += 1;
    }
    assert!(n >= 6, "{n} blocks");
}

/// A machine on which the lines of the book run.
struct Stage {
    world: World,
    hub: Hub,
    agent: Agent,
    bin: PathBuf,
}

impl Stage {
    async fn new() -> Stage {
        let world = World::new().await;
        let hub = world.hub();
        let agent = world.agent("pi", &hub);
        let bin = world.folder().join("bin");
        fs::create_dir_all(&bin).unwrap();
        for (name, config) in [("olog-hub", hub.daemon.config()), ("olog-agent", agent.daemon.config())] {
            let script = format!("OLOG_CONFIG={} exec {} \"$@\"", config.display(), program(name).display());
            executable(&bin.join(name), &script);
        }
        Stage { world, hub, agent, bin }
    }

    /// From now on the tools of the recipes fail, or do not.
    fn tools_fail(&self, fail: bool) {
        for tool in TOOLS {
            let line = if fail {
                format!("echo \"{tool} is broken\"; echo \"{tool} is broken\" >&2; exit 3")
            } else {
                String::new()
            };
            executable(&self.bin.join(tool), &line);
        }
    }

    /// Runs it as cron does.
    fn sh(&self, text: &str) {
        let text = text.replace("/var/log/olog", &self.agent.log_dir.display().to_string());
        let path = format!("{}:/usr/bin:/bin", self.bin.display());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &text]).env_clear().env("PATH", path).env("SMARTD_MESSAGE", "Device: /dev/sda, failed");
        run(&mut command);
    }

    async fn told(&self, state: &str, task: &str) {
        self.world.push(&format!("{state} pi/{task}")).await;
    }
}

fn executable(file: &Path, line: &str) {
    // A new file each time: a script that is being run cannot be written.
    let new = file.with_extension("new");
    fs::write(&new, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_in_python_joins_and_its_failed_run_is_pushed() {
    let Some(python) = std::env::var_os("OLOG_TEST_PYTHON") else {
        eprintln!("not run: OLOG_TEST_PYTHON names no Python with websockets and cryptography");
        return;
    };
    let world = World::new().await;
    let hub = world.hub_with("", "[tls]\nmode = \"off\"\n");
    let script = world.folder().join("agent.py");
    let of_book = |language| blocks(language).into_iter().find(|block| block.kind() == "python").unwrap().text;
    fs::write(&script, of_book("zh-CN")).unwrap();
    let link = hub.verb(&["join-link", "--local"]).good();
    run(Command::new(python).arg(&script).arg(link.trim())).good();
    world.push("ERR pybox/dump").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recipe_tells_when_its_tool_fails_and_when_it_works_again() {
    let stage = Stage::new().await;
    // A task of each name once; the other language has the same lines.
    let mut lines: Vec<(String, String)> = Vec::new();
    for block in blocks("en").into_iter().filter(|block| block.kind() == "cron") {
        let task = block.value("task").unwrap_or_else(|| panic!("{block:?}")).to_owned();
        let line = block.text.trim();
        assert_eq!(line.lines().count(), 1, "{block:?}");
        let mut fields = line.splitn(6, ' ').map(str::trim);
        let schedule: Vec<&str> = fields.by_ref().take(5).collect();
        assert!(
            schedule.iter().all(|field| !field.is_empty() && field.chars().all(|c| "0123456789*/,-".contains(c))),
            "{line}"
        );
        // cron ends a command at a percent sign.
        let command = fields.next().unwrap().to_owned();
        assert!(!command.contains('%'), "{line}");
        match lines.iter().find(|(known, _)| *known == task) {
            Some((_, known)) => assert_eq!(*known, command, "two lines for one task"),
            None => lines.push((task, command)),
        }
    }
    assert!(lines.len() >= 12, "{lines:?}");
    stage.tools_fail(true);
    for (task, line) in &lines {
        stage.sh(line);
        stage.told("ERR", task).await;
    }
    stage.tools_fail(false);
    for (task, line) in &lines {
        stage.sh(line);
        stage.told("OVER", task).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_that_the_book_runs_does_what_it_says() {
    let stage = Stage::new().await;
    for block in blocks("en").into_iter().filter(|block| block.kind() == "sh") {
        assert!(block.has("run"), "{block:?}");
        match (block.value("task"), block.value("state")) {
            (Some(task), Some(state)) => {
                stage.sh(&block.text);
                stage.told(state, task).await;
            }
            _ => {
                for line in block.text.lines() {
                    let words: Vec<&str> = line.split(' ').collect();
                    let daemon = if words[0] == "olog-hub" { &stage.hub.daemon } else { &stage.agent.daemon };
                    daemon.verb(&words[1..]).good();
                }
            }
        }
    }
}
