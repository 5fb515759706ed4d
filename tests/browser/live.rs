//! Pages that are open while something happens: they change by themselves, stay as they are under the hands of who reads, and come back after the
//! hub was away.

use olog_journeys::world::World;

use crate::{
    browser::Browser,
    site::{PlainHub, agent},
};

/// Marks the page as it was loaded: a mark that is still there says that the page was not loaded again.
async fn mark(browser: &Browser) {
    browser.ask("window.loadedOnce = true; return 1;").await;
}

async fn is_marked(browser: &Browser) -> bool {
    browser.ask("return window.loadedOnce === true;").await.as_bool().unwrap_or_default()
}

async fn shown_by_itself(browser: &Browser, text: &str) {
    let look = async |browser: &Browser| browser.text().await.contains(text).then_some(());
    browser.until(&format!("the open page shows {text:?}"), look).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_shows_an_error_and_its_acknowledgement_by_itself_also_after_a_restart_of_the_hub() {
    let Some(browser) = Browser::open().await else { return };
    let world = World::new().await;
    let mut hub = PlainHub::start(&world, "hub", 1);
    hub.sign_in(&browser).await;
    let pi = agent(&world, "pi", &hub);
    browser.open_page(&hub.at("/")).await;
    mark(&browser).await;
    let until_open = async |browser: &Browser| {
        let is_open = "return document.getElementById('not-live').hidden;";
        browser.ask(is_open).await.as_bool().filter(|is_open| *is_open).map(drop)
    };
    browser.until("the page is live", until_open).await;
    pi.write("nginx.err", "nginx: [emerg] bind() to 0.0.0.0:80 failed\n");
    shown_by_itself(&browser, "bind() to 0.0.0.0:80 failed").await;
    // The overview keeps the focus, and what was unfolded, over a change.
    browser.ask("document.querySelector('main a[href*=\"incidents/\"]').focus(); return 1;").await;
    let nginx = hub.incident("nginx");
    hub.hub.verb(&["incident", "ack", &nginx.to_string()]).good();
    // With its time: the overview says "not acknowledged" before.
    shown_by_itself(&browser, "acknowledged ").await;
    let focused = browser.ask("return document.activeElement.getAttribute('href') || '';").await;
    assert!(focused.as_str().unwrap().contains("incidents/"), "{focused}");
    // The hub is away: the page says that it is not live, and keeps what it shows.
    hub.hub.daemon.stop();
    shown_by_itself(&browser, "not live").await;
    shown_by_itself(&browser, "bind() to 0.0.0.0:80 failed").await;
    hub.hub.start();
    browser.until("the page is live again", until_open).await;
    pi.write("backup.err", "rsync error: error in socket IO\n");
    shown_by_itself(&browser, "rsync error").await;
    assert!(is_marked(&browser).await, "the page was loaded again");
    browser.close().await;
}
