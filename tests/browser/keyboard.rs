//! Every page by keyboard: Tab reaches every link, button and field, in order and without a trap, and one sees where one is.

use crate::{
    browser::Browser,
    site::{PAGES, Site},
};

/// Marks what can be used, and notes what gets the focus and how that looks.
const WATCH: &str = "
    const usable = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]';
    window.reached = [];
    window.usable = () => [...document.querySelectorAll(usable)]
        .filter(e => !e.disabled && e.tabIndex >= 0 && e.checkVisibility({ visibilityProperty: true }));
    document.addEventListener('focusin', event => {
        const e = event.target, style = getComputedStyle(e);
        const has = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
        window.reached.push([e, has, e.getBoundingClientRect().width > 0]);
    });
    document.activeElement?.blur();
    // In a date Tab also stops at month, day, year and calendar.
    return window.usable().length + 3 * document.querySelectorAll('input[type=date]').length";

/// What is wrong after Tab was pressed often enough. A page may have updated itself meanwhile, so an element is the same if it is written the same.
const WRONG: &str = "
    const name = e => e.outerHTML.slice(0, 120);
    const written = new Set(window.reached.map(([e]) => e.outerHTML));
    const reached = window.reached.map(([e]) => e).filter(e => e.isConnected);
    const missed = window.usable().filter(e => !written.has(e.outerHTML)).map(e => 'not reached: ' + name(e));
    const hidden = window.reached.filter(([, has, is]) => !has || !is).map(([e]) => 'no visible focus: ' + name(e));
    // Once it may begin again at the top: a page may put the focus into its field.
    const turns = [...new Set(reached)].filter((e, n, all) => n > 0 && !(all[n - 1].compareDocumentPosition(e) & 4)).length;
    const order = turns > 1;
    return [...missed, ...hidden, ...(order ? ['the order of Tab is not that of the page'] : [])].join('\\n')";

#[tokio::test(flavor = "multi_thread")]
async fn every_link_button_and_field_of_every_page_is_reached_by_tab_with_a_visible_focus() {
    let Some(browser) = Browser::open().await else { return };
    let site = Site::new(&browser).await;
    let mut wrong = String::new();
    for page in PAGES {
        site.open(page, &browser).await;
        let n = browser.ask(WATCH).await.as_u64().unwrap_or_default();
        // One more, because Tab also goes to the window around the page.
        browser.press_tab(usize::try_from(n).unwrap_or_default() + 1).await;
        let found = browser.ask(WRONG).await;
        for line in found.as_str().unwrap_or("?").lines() {
            wrong += &format!("{}: {line}\n", page.name);
        }
    }
    browser.close().await;
    assert!(wrong.is_empty(), "{wrong}");
}
