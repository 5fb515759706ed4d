//! A user renames a device or a task: its history stays.

use olog_journeys::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_task_goes_on_under_its_new_name_and_the_report_says_so() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.append("svc.err", "cannot reach the disk\n");
    world.push("ERR pi/svc").await;
    pi.append("other.err", "another job\n");
    world.push("ERR pi/other").await;

    hub.verb(&["task", "rename", "pi", "svc", "database"]).good();
    pi.append("svc.err", "out of memory\n");
    world.push("ERR pi/database").await;
    let rows = hub.list(&["task", "list"]);
    let row = rows.iter().find(|row| row["task"] == "database").expect("its row");
    assert_eq!((rows.len(), &row["was"][0]), (2, &"svc".into()), "{rows:?}");
    let shown = hub.verb(&["task", "show", "pi", "svc"]).good();
    assert!(shown.starts_with("pi/database is ERR since ") && shown.contains("Former names: svc"), "{shown}");
    let whats: Vec<_> = hub.incidents().iter().map(|incident| incident["name"].clone()).collect();
    assert!(whats.contains(&"database".into()) && !whats.contains(&"svc".into()), "{whats:?}");

    for (rename, words) in [
        (["pi", "other", "database"], "has a task"),
        (["pi", "other", "svc"], "was the name of \"database\""),
        (["pi", "nothing", "thing"], "olog-hub task list"),
        (["pj", "other", "thing"], "olog-hub task list"),
    ] {
        let said = hub.verb(&[["task", "rename"].as_slice(), &rename].concat());
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.err.contains(words), "{said:?}");
    }
    assert_eq!(hub.verb(&["task", "rename", "pi", "other", "  "]).status.code(), Some(2), "no name");

    pi.sh("rm svc.err");
    world.push("OVER pi/database").await;
}
