//! Every page in both languages, light and dark, on a phone and on a desktop: it fits, axe-core has no finding, and a picture of it is taken.

use std::{fmt::Write as _, fs, path::PathBuf};

use serde_json::json;

use crate::{
    browser::Browser,
    site::{PAGES, Page, Site},
};

/// A tall page is cut here in its picture.
const HEIGHT_MAX: u64 = 4_000;

/// The script of axe-core; `None`: there is none, which is said.
fn axe() -> Option<String> {
    let Some(path) = std::env::var_os("OLOG_TEST_AXE") else {
        eprintln!("not run: OLOG_TEST_AXE names no script of axe-core (`cargo xtask test` gets it from npm)");
        return None;
    };
    Some(fs::read_to_string(path).unwrap())
}

/// Where pictures go; made empty.
fn pictures(language: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots").join(language);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What axe-core finds: the rules of WCAG 2.2 AA and its own for good practice.
async fn findings(browser: &Browser) -> Vec<String> {
    let script = "const done = arguments[arguments.length - 1];
        axe.run(document, { resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } }).then(
          result => done(result.violations.flatMap(rule => rule.nodes.map(node =>
            rule.impact + ' ' + rule.id + ': ' + node.html.slice(0, 200) + ' — ' + (node.failureSummary || '').replace(/\\s+/g, ' ').slice(0, 300)))),
          error => done(['axe did not run: ' + error]))";
    let found = browser.ask_later(script).await;
    found.as_array().into_iter().flatten().map(|line| line.as_str().unwrap_or("?").to_owned()).collect()
}

/// What sticks out at the right of the window, if anything does.
async fn too_wide(browser: &Browser) -> Option<String> {
    let script = "const width = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= width) return null;
        const wide = [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > width + 1);
        return document.documentElement.scrollWidth + ' px: ' + wide.slice(0, 3).map(e => e.outerHTML.slice(0, 160)).join(' | ')";
    browser.ask(script).await.as_str().map(str::to_owned)
}

/// Looks at one page, and says what is wrong with it.
async fn look(page: &Page, language: &str, browser: &Browser, folder: &std::path::Path) -> String {
    let mut wrong = String::new();
    let mut tell = |what: String| writeln!(wrong, "{} ({language}): {what}", page.name).unwrap();
    let lang = browser.ask("return document.documentElement.lang").await;
    if page.is_translated && lang != language {
        tell(format!("its language is {lang}"));
    }
    for width in [320, 360, 1280] {
        browser.viewport(width, 800).await;
        if let Some(what) = too_wide(browser).await {
            tell(format!("it scrolls sideways at {width} px: {what}"));
        }
        if width == 320 {
            continue;
        }
        for scheme in ["light", "dark"] {
            browser.prefers(scheme).await;
            // Colours are the same on every screen.
            if width == 360 || scheme == "light" {
                findings(browser).await.into_iter().for_each(|found| tell(format!("{scheme}, {width} px: {found}")));
            }
            let picture = browser.picture(width, HEIGHT_MAX).await;
            fs::write(folder.join(format!("{}-{width}-{scheme}.png", page.name)), picture).unwrap();
        }
    }
    wrong
}

async fn look_at_every_page(language: &str) {
    let (Some(axe), Some(browser)) = (axe(), Browser::open().await) else { return };
    let site = Site::new(&browser).await;
    let folder = pictures(language);
    browser.speaks(language).await;
    // The policy of the pages holds for their own scripts only.
    browser.cdp("Page.addScriptToEvaluateOnNewDocument", json!({ "source": axe })).await;
    let mut wrong = String::new();
    for page in PAGES {
        site.open(page, &browser).await;
        wrong += &look(page, language, &browser, &folder).await;
    }
    browser.close().await;
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_in_english_fits_and_is_accessible() {
    look_at_every_page("en").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_in_chinese_fits_and_is_accessible() {
    look_at_every_page("zh-CN").await;
}

/// The words of a page, without numbers and spans of time, which change by themselves.
async fn words(browser: &Browser) -> String {
    let changes = |word: &&str| word.contains(|c: char| c.is_ascii_digit()) || ["s", "min", "h", "ago"].contains(word);
    let text = browser.text().await;
    text.split_whitespace().filter(|word| !changes(word)).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_the_same_words_without_script() {
    let Some(browser) = Browser::open().await else { return };
    let site = Site::new(&browser).await;
    for page in PAGES.iter().filter(|page| page.name != "join" && page.stays()) {
        browser.runs_scripts(true).await;
        site.open(page, &browser).await;
        let with = words(&browser).await;
        browser.runs_scripts(false).await;
        site.open(page, &browser).await;
        let without = words(&browser).await;
        assert!(with.len() > 20, "{}: {with}", page.name);
        assert_eq!(with, without, "{}", page.name);
    }
    // The page of a join link has its line by a script, because its secret is never sent. Without one it says what to do.
    let join = PAGES.iter().find(|page| page.name == "join").unwrap();
    site.open(join, &browser).await;
    let without = browser.text().await;
    assert!(without.contains("Paste the whole line") && !without.contains("copy"), "{without}");
    browser.close().await;
}
