//! What a person does in the browser, from the first sign-in to the acknowledgement on the phone.

use olog_journeys::world::World;

use crate::{
    browser::Browser,
    site::{PlainHub, agent, link_in_push},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_set_up_link_makes_the_first_user_and_the_overview_shows_an_error_that_is_written_on_a_device() {
    let Some(browser) = Browser::open().await else { return };
    let world = World::new().await;
    let hub = PlainHub::start(&world, "hub", 1);
    let link = hub.setup_link();
    hub.sign_in(&browser).await;
    let pi = agent(&world, "pi", &hub);
    browser.open_page(&hub.at("/")).await;
    browser.shows("pi").await;
    pi.write("nginx.err", "nginx: [emerg] bind() to 0.0.0.0:80 failed\n");
    browser.shows("pi/nginx").await;
    browser.shows("bind() to 0.0.0.0:80 failed").await;
    browser.shows("ERR").await;
    // It worked once: whoever finds the link in the log makes no second user.
    browser.open_page(&link).await;
    browser.shows("link").await;
    assert!(!browser.text().await.contains("Password"), "{}", browser.text().await);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_a_push_acknowledges_on_a_phone_without_a_sign_in_and_the_page_does_with_one() {
    let Some(browser) = Browser::open().await else { return };
    let world = World::new().await;
    let hub = PlainHub::start(&world, "hub", 1);
    let pi = agent(&world, "pi", &hub);
    pi.write("disk.err", "No space left on device\n");
    let link = link_in_push(&world, "No space left on device").await;
    let disk = hub.incident("disk");
    browser.viewport(390, 844).await;
    browser.open_page(&link).await;
    browser.shows("No space left on device").await;
    // A messenger's preview does just that.
    assert!(!hub.is_acknowledged(disk));
    browser.click("//button[normalize-space()='Acknowledge']").await;
    hub.hub.wait("it is acknowledged by the link", |_| hub.is_acknowledged(disk).then_some(()));
    browser.shows("Acknowledged 20").await;

    pi.write("backup.err", "rsync error: error in socket IO\n");
    world.push("rsync error").await;
    let backup = hub.incident("backup");
    hub.sign_in(&browser).await;
    browser.click("//main//a[contains(., 'pi/backup')]").await;
    browser.click("//button[normalize-space()='Acknowledge']").await;
    hub.hub.wait("it is acknowledged by the user", |_| hub.is_acknowledged(backup).then_some(()));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chinese_words_are_found_by_the_search_of_the_events() {
    let Some(browser) = Browser::open().await else { return };
    let world = World::new().await;
    let hub = PlainHub::start(&world, "hub", 1);
    let pi = agent(&world, "pi", &hub);
    pi.write("备份.err", "备份失败：目标磁盘空间不足，请立即检查\n");
    pi.write("nginx.err", "connection refused\n");
    world.push("磁盘空间不足").await;
    world.push("connection refused").await;
    hub.sign_in(&browser).await;
    browser.open_page(&hub.at("/events")).await;
    for (words, found, other) in
        [("磁盘", "目标磁盘空间不足", "connection refused"), ("refused", "connection refused", "磁盘空间")]
    {
        browser.fill("input[type=search]", words).await;
        browser.click("//form[@role='search']//button").await;
        browser.until("the search is done", async |browser| browser.url().await.contains("q=").then_some(())).await;
        browser.shows(found).await;
        let text = browser.text().await;
        assert!(!text.contains(other), "{text}");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_link_is_made_on_a_page_and_used_on_a_device_and_the_page_says_by_whom() {
    let Some(browser) = Browser::open().await else { return };
    let world = World::new().await;
    let hub = PlainHub::start(&world, "hub", 1);
    hub.sign_in(&browser).await;
    browser.open_page(&hub.at("/")).await;
    browser.click("//nav//a[contains(@href, 'enrolment')]").await;
    browser.click("//form[.//input[@name='uses']]//button").await;
    let link = browser.find("[role=status] code").await.text().await.unwrap();
    // Who opens the link on a phone sees the line for the device.
    browser.open_page(&link).await;
    let line = browser.find("#command").await.text().await.unwrap();
    assert_eq!(line, format!("sudo olog-agent join '{link}'"));
    let mut pi = world.agent_off("roof-pi", "", "");
    pi.join_by(&link).good();
    pi.start();
    pi.wait_connected();
    browser.open_page(&hub.at("/enrolment")).await;
    browser.click("//main//a[normalize-space()='roof-pi']").await;
    browser.until("the device's page", async |browser| browser.url().await.contains("roof-pi").then_some(())).await;
    browser.open_page(&hub.at("/")).await;
    browser.shows("roof-pi").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_open_while_the_hub_restarts_goes_on() {
    let Some(browser) = Browser::open().await else { return };
    let world = World::new().await;
    let mut hub = PlainHub::start(&world, "hub", 1);
    let pi = agent(&world, "pi", &hub);
    hub.sign_in(&browser).await;
    browser.shows("pi").await;
    hub.hub.daemon.stop();
    pi.write("nginx.err", "while the hub was away\n");
    hub.hub.start();
    // The page was not loaded again: it asks the new hub.
    browser.shows("while the hub was away").await;
    // A form of the new hub is taken from the old session.
    let incident = hub.incident("nginx");
    browser.click("//main//a[contains(., 'pi/nginx')]").await;
    browser.click("//button[normalize-space()='Acknowledge']").await;
    hub.hub.wait("it is acknowledged", |_| hub.is_acknowledged(incident).then_some(()));
    browser.close().await;
}
