use super::*;

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn app() -> Whom {
    Whom::App { token: secret("AT_abcdefghijklmnop"), uids: vec!["UID_a".into(), "UID_b".into()], topics: vec![7] }
}

fn read(service: &Whom, status: u16, body: &str) -> Vec<Answer> {
    let reply = Reply { status, retry_after: None, body: body.as_bytes().to_vec() };
    let to = service.receivers();
    service.read(&reply, &to).into_iter().map(|(_, answer)| answer).collect()
}

fn class(answer: &Answer) -> &'static str {
    match answer {
        Answer::Accepted { .. } => "accepted",
        Answer::Later { .. } => "later",
        Answer::Refused { class: Refusal::Credential, .. } => "credential",
        Answer::Refused { class: Refusal::Receiver, .. } => "receiver",
        Answer::Refused { class: Refusal::Format, .. } => "format",
        Answer::Refused { class: Refusal::Other, .. } => "other",
    }
}

#[track_caller]
fn check(status: u16, body: &str, expected: &str) {
    let answers = read(&app(), status, body);
    let classes: Vec<_> = answers.iter().map(class).collect();
    assert_eq!(classes, [expected; 3], "{answers:?}");
}

#[test]
fn only_a_row_of_its_own_makes_a_receiver_accepted() {
    let body = r#"{"code":1000,"msg":"处理成功","data":[
        {"uid":null,"topicId":7,"code":1000,"status":"创建发送任务成功"},
        {"uid":"UID_b","topicId":null,"code":1001,"status":"用户没有关注你的应用"},
        {"uid":"UID_a","topicId":null,"code":1000,"status":"创建发送任务成功"}]}"#;
    let answers = read(&app(), 200, body);
    assert_eq!(answers.iter().map(class).collect::<Vec<_>>(), ["accepted", "receiver", "accepted"]);
    assert!(matches!(&answers[1], Answer::Refused { why, .. } if why.contains("没有关注")), "{answers:?}");
    check(200, r#"{"code":1000,"msg":"ok"}"#, "later");
    check(200, r#"{"code":1000,"msg":"ok","data":null}"#, "later");
}

#[test]
fn a_code_is_read_whatever_the_http_status_says() {
    check(200, r#"{"code":1001,"msg":"业务异常"}"#, "other");
    check(200, r#"{"code":1002,"msg":"未登录"}"#, "credential");
    check(200, r#"{"code":1001,"msg":"appToken不正确"}"#, "credential");
    check(200, r#"{"code":1001,"msg":"发送过于频繁，请稍后再试"}"#, "later");
    check(200, r#"{"code":1001,"msg":"内容过长"}"#, "format");
    check(200, r#"{"code":1005,"msg":"JSON parse error"}"#, "later");
    check(200, r#"{"code":1006,"msg":"x"}"#, "later");
    check(200, r#"{"code":1008,"msg":"数据异常"}"#, "other");
    check(200, r#"{"msg":"no code"}"#, "other");
    check(500, r#"{"code":1000,"msg":"ok","data":[]}"#, "later");
    check(403, r#"{"code":1000,"msg":"ok"}"#, "credential");
}

#[test]
fn what_is_not_the_services_answer_is_no_acceptance() {
    check(200, "<html>log in to the hotel's network</html>", "later");
    check(200, "", "later");
    check(200, "[1000]", "later");
    check(302, "", "later");
    check(502, "bad gateway", "later");
    check(404, "not found", "other");
    check(401, "", "credential");
    check(413, "", "format");
}

#[test]
fn no_answer_shows_a_token_or_runs_on() {
    let body =
        format!(r#"{{"code":1001,"msg":"AT_abcdefghijklmnop and AT_other123 and SPT_zzz9 \n {}"}}"#, "长".repeat(900));
    for answer in read(&app(), 200, &body) {
        let Answer::Refused { why, .. } = answer else { panic!("{answer:?}") };
        assert!(!why.contains("abcdefgh") && !why.contains("other123") && !why.contains("zzz9"), "{why}");
        assert!(why.chars().count() <= WORDS_MAX + 20 && !why.contains('\n'), "{why}");
    }
}

#[test]
fn a_retry_names_only_those_that_are_left() {
    let message = Message {
        title: "t".into(),
        summary: "s".repeat(150),
        html: "<b>x</b>".into(),
        markdown: String::new(),
        text: "x".into(),
        about: Vec::new(),
        link: None,
    };
    let to = [Receiver { id: "UID_b".into() }, Receiver { id: "topic:7".into() }];
    let body: Value = serde_json::from_slice(&app().body(&message, &to)).unwrap();
    assert_eq!(body["uids"], json!(["UID_b"]));
    assert_eq!(body["topicIds"], json!([7]));
    assert_eq!(body["contentType"], 2);
    assert_eq!(body["summary"].as_str().unwrap().len(), 100);
    let only_topic: Value = serde_json::from_slice(&app().body(&message.plain(&LIMITS, 9), &to[1..])).unwrap();
    assert_eq!((only_topic.get("uids"), &only_topic["contentType"]), (None, &json!(1)));
}

#[test]
fn a_call_names_no_more_than_the_service_allows() {
    let service = Whom::App {
        token: secret("AT_x"),
        uids: (0..2001).map(|n| format!("UID_{n}")).collect(),
        topics: (1..8).collect(),
    };
    let all = service.receivers();
    let first = service.in_one_call(&all);
    assert_eq!(first.len(), 2005);
    let left: Vec<Receiver> = all.into_iter().filter(|r| !first.contains(r)).collect();
    assert_eq!(service.in_one_call(&left).len(), 3);
    let simple = Whom::Simple((0..12).map(|n| secret(&format!("SPT_abcdefgh{n}"))).collect());
    assert_eq!(simple.in_one_call(&simple.receivers()).len(), 10);
}

#[test]
fn simple_push_is_answered_in_the_order_of_the_call() {
    let simple = Whom::Simple(vec![secret("SPT_aaaabbbbcccc1"), secret("SPT_ddddeeeeffff2")]);
    let body =
        r#"{"code":1000,"msg":"ok","data":[{"uid":"UID_1","code":1000,"status":"ok"},{"code":1001,"status":"no"}]}"#;
    assert_eq!(read(&simple, 200, body).iter().map(class).collect::<Vec<_>>(), ["accepted", "receiver"]);
}
