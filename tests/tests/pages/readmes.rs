//! README.md and README.zh-CN.md have the same content: the same parts, links, commands and tables, and each links to the other at its top.

use std::process::Command;

use olog_journeys::daemon::{program, run};

fn shape(text: &str) -> Vec<String> {
    let mut shape = Vec::new();
    for line in text.lines() {
        if line.starts_with('#') {
            shape.push(format!("heading {}", line.chars().take_while(|c| *c == '#').count()));
        } else if line.starts_with('|') {
            shape.push(format!("row of {}", line.matches('|').count()));
        } else if line.starts_with("- ") {
            shape.push("item".to_owned());
        } else if let Some(command) =
            line.strip_prefix("    ").filter(|line| !line.contains('"') && !line.contains(" | "))
        {
            // Messages in the language of the page are no commands.
            let command = command.split("  #").next().unwrap_or_default().trim_end().replace("zh-CN", "en");
            if command.is_ascii() {
                shape.push(format!("line {command}"));
            }
        }
    }
    shape
}

/// Where its links lead; a heading of its own page has another name in each language, and each has the book and the pictures in its own language.
fn links(text: &str) -> Vec<String> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links.filter(|link| !link.starts_with('#') && !link.starts_with("README"));
    let mut links: Vec<String> =
        links.map(|link| link.replace("docs/book/zh-CN/", "docs/book/en/").replace("-zh.png", "-en.png")).collect();
    links.sort_unstable();
    links.dedup();
    links
}

#[test]
fn both_readmes_have_the_same_content_and_link_to_each_other() {
    let english = include_str!("../../../README.md");
    let chinese = include_str!("../../../README.zh-CN.md");
    let top = |text: &str| text.lines().take(4).collect::<String>();
    assert!(top(english).contains("(README.zh-CN.md)") && top(chinese).contains("(README.md)"));
    assert_eq!(links(english), links(chinese));
    assert_eq!(shape(english), shape(chinese));
}

#[test]
fn what_the_readmes_show_of_simulate_is_what_it_prints() {
    for (page, language) in
        [(include_str!("../../../README.md"), "en"), (include_str!("../../../README.zh-CN.md"), "zh-CN")]
    {
        let mut simulate = Command::new(program("olog-hub"));
        let printed = run(simulate.args(["simulate", "site-power-cut", "--language", language])).good();
        let shown =
            page.lines().skip_while(|line| !line.starts_with("    02:00:12")).take_while(|line| !line.is_empty());
        let shown: Vec<&str> = shown.map(str::trim).collect();
        assert!(shown.len() > 4, "{shown:?}");
        for line in shown {
            assert!(printed.contains(line), "{language}: {line} is not in\n{printed}");
        }
    }
}
