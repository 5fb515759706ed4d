//! Alerts, as a Prometheus sends them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::pings::with_device;
use super::*;

const MINUTE: i64 = 60_000;

impl World {
    async fn alert_token(&self, name: &str, scope: &str) -> String {
        let made: Value = self.verbs.post("/token/create", &json!({ "name": name, "scope": scope })).await.unwrap();
        made["token"].as_str().unwrap().to_owned()
    }

    async fn alert(&self, token: &str, body: &Value) -> (u16, String) {
        let headers = format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n");
        let (status, _, words) = self.ask("POST", "/api/v2/alerts", &headers, &body.to_string()).await;
        (status, words)
    }

    fn count(&self, sql: &str) -> i64 {
        self.store().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// What the phone is told: kind and task.
    fn told(&self) -> Vec<String> {
        let store = self.store();
        let mut rows = store.prepare("SELECT notice FROM outbox ORDER BY id").unwrap();
        let notices = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let notices = notices.map(|notice| serde_json::from_str::<olog_push::Notice>(&notice.unwrap()).unwrap());
        let told = notices.filter(|notice| notice.kind != olog_push::Kind::System);
        told.map(|notice| format!("{:?} {}", notice.kind, notice.task.unwrap_or_default())).collect()
    }
}

fn firing(name: &str, more: &Value) -> Value {
    let mut labels = json!({ "alertname": name, "instance": "pi:9100" });
    for (label, value) in more.as_object().unwrap() {
        labels[label] = value.clone();
    }
    json!({ "labels": labels, "annotations": { "summary": format!("{name} fires at 91 %") } })
}

async fn hub() -> (World, String) {
    let channel = "[[channel]]\nname = 'phone'\ntype = 'wxpusher'\ntoken = 'AT_x'\nuids = ['UID_a']\napi_url = 'http://127.0.0.1:9'\n";
    let (world, _) = with_device(&format!("[alerts]\nquiet = ''\n{channel}")).await;
    let token = world.alert_token("prometheus", "act").await;
    (world, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_an_error_once_and_over_when_it_is_resolved() {
    let (world, token) = hub().await;
    for _ in 0..5 {
        assert_eq!(world.alert(&token, &json!([firing("DiskFull", &json!({}))])).await, (200, String::new()));
        world.hand.advance(MINUTE);
    }
    assert_eq!(world.tasks().await, ["DiskFull ERR"]);
    assert_eq!(world.count("SELECT COUNT(*) FROM events"), 1, "repeats are no events");
    let mut again = firing("DiskFull", &json!({}));
    again["annotations"]["summary"] = json!("DiskFull fires at 97 %");
    assert_eq!(world.alert(&token, &json!([again])).await.0, 200);
    assert_eq!(world.count("SELECT COUNT(*) FROM events"), 1, "only a number has changed");
    let mut over = firing("DiskFull", &json!({}));
    over["endsAt"] = json!("1970-01-01T00:00:00Z");
    assert_eq!(world.alert(&token, &json!([over])).await.0, 200);
    assert_eq!(world.tasks().await, ["DiskFull OK"]);
    assert_eq!(world.alert(&token, &json!([over])).await.0, 200, "it is said again");
    assert_eq!(world.count("SELECT COUNT(*) FROM events"), 2);
    assert_eq!(world.told(), ["Err DiskFull", "Over DiskFull"]);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_alerts_of_one_name_are_tasks_told_apart_by_their_labels() {
    let (world, token) = hub().await;
    let both = json!([
        firing("DiskFull", &json!({ "mountpoint": "/" })),
        firing("DiskFull", &json!({ "mountpoint": "/home" })),
        firing("Up", &json!({ "severity": "info" })),
    ]);
    assert_eq!(world.alert(&token, &both).await, (200, String::new()));
    assert_eq!(world.tasks().await, ["DiskFull mountpoint=/ ERR", "DiskFull mountpoint=/home ERR"]);
    assert_eq!(world.told(), ["Err DiskFull mountpoint=/", "Err DiskFull mountpoint=/home", "Msg Up"]);
    world.hand.advance(3 * 60 * MINUTE / 2);
    assert_eq!(world.alert(&token, &both).await.0, 200);
    assert_eq!(world.told().len(), 3, "one that still fires is counted, a message is not said again");
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_listed_and_the_other_alerts_count() {
    let (world, token) = hub().await;
    let body = json!([
        firing("Good", &json!({})),
        { "labels": { "instance": "pi" } },
        { "labels": { "alertname": "Lost", "instance": "nobody:9100" } },
        { "labels": { "alertname": "Old" }, "startsAt": "1970-01-01T00:00:00Z", "endsAt": "x" },
    ]);
    let (status, words) = world.alert(&token, &body).await;
    let words: String = serde_json::from_str(&words).unwrap();
    assert_eq!(status, 400);
    for mistake in
        ["alert 2: there is no label alertname", "alert 3 (Lost): no device", "\"prometheus\"", "alert 4: endsAt"]
    {
        assert!(words.contains(mistake), "no {mistake} in {words}");
    }
    assert_eq!(world.tasks().await, ["Good ERR"]);
    for body in [json!({}), json!("x"), json!([1])] {
        assert_eq!(world.alert(&token, &body).await.0, 400, "{body}");
    }
    let large = json!([firing("Large", &json!({ "x": "y".repeat(5 << 20) }))]);
    assert_eq!(world.alert(&token, &large).await.0, 413);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_token_that_may_act_sends_alerts_and_it_may_be_a_password() {
    let (world, token) = hub().await;
    let read = world.alert_token("reader", "read").await;
    let body = json!([{ "labels": { "alertname": "A" } }]);
    assert_eq!(world.alert(&read, &body).await.0, 403);
    assert_eq!(world.alert("olog_wrong", &body).await.0, 401);
    assert_eq!(world.ask("POST", "/api/v2/alerts", "", &body.to_string()).await.0, 401);
    // Without an instance the device is the one named like the token.
    assert_eq!(world.alert(&token, &body).await.0, 400);
    let own = world.alert_token("pi", "act").await;
    let basic = format!("authorization: Basic {}\r\n", STANDARD.encode(format!("anybody:{own}")));
    assert_eq!(world.ask("POST", "/api/v2/alerts", &basic, &body.to_string()).await.0, 200);
    assert_eq!(world.tasks().await, ["A ERR"]);
    assert!(world.hub.stop().await);
}
