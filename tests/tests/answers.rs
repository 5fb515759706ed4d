//! Every answer that WxPusher documents, and what the channel makes of it, over real sockets.

use olog_daemon::config::read_text;
use olog_journeys::{Habit, Phone, phone};
use olog_push::{Answer, Channel, ChannelCatalog, Message, Receiver, Refusal};

fn channel(text: &str) -> Channel {
    let text = text.trim_start_matches("[[channel]]\n");
    read_text("hub.toml", text, |table| Channel::parse(table, &ChannelCatalog::built_in())).unwrap().unwrap()
}

fn message() -> Message {
    Message {
        title: "ERR comsrv/mysql".into(),
        summary: "ERR comsrv/mysql: gone".into(),
        html: "<p>mysql has just failed.</p>".into(),
        markdown: "mysql has just failed.".into(),
        text: "mysql has just failed.".into(),
        about: Vec::new(),
        link: None,
    }
}

async fn push(channel: &Channel) -> Vec<(Receiver, Answer)> {
    channel.send(&message(), &channel.receivers()).await
}

async fn only_answer(phone: &Phone) -> Answer {
    let answers = push(&channel(&phone.channel("channel", "me"))).await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.into_iter().next().unwrap().1
}

fn why(answer: &Answer) -> &str {
    match answer {
        Answer::Later { why, .. } => why,
        other => panic!("expected to hear that it should be tried later: {other:?}"),
    }
}

#[tokio::test]
async fn a_push_arrives_and_the_next_needs_no_new_connection() {
    let phone = Phone::start().await.unwrap();
    phone.add_topic(7);
    let channel = channel(&phone.channel("channel", "me"));
    for _ in 0..3 {
        for (receiver, answer) in push(&channel).await {
            assert!(matches!(answer, Answer::Accepted { .. }), "{receiver:?} {answer:?}");
        }
    }
    assert_eq!((phone.pushes().len(), phone.calls().len(), phone.n_connections()), (6, 3, 1));
    assert_eq!(phone.pushes()[0].text(), "mysql has just failed.\n");
    assert_eq!(phone.calls()[0].named(), [phone::UID, "topic:7"]);
}

#[tokio::test]
async fn simple_push_reaches_several_phones() {
    let phone = Phone::start().await.unwrap();
    phone.add_spt("SPT_firstfirstfirst");
    phone.add_spt("SPT_secondsecondsecond");
    let spts = ["SPT_firstfirstfirst", "SPT_unknownunknown", "SPT_secondsecondsecond"];
    let text = format!("[[channel]]\nname = 'me'\ntype = 'wxpusher'\nspt = {spts:?}\napi_url = {:?}", phone.url());
    let answers = push(&channel(&text)).await;
    assert!(matches!(answers[0].1, Answer::Accepted { .. }) && matches!(answers[2].1, Answer::Accepted { .. }));
    assert!(matches!(answers[1].1, Answer::Refused { class: Refusal::Receiver, .. }), "{answers:?}");
    assert_eq!(phone.pushes().len(), 2);
}

#[tokio::test]
async fn an_unsubscribed_user_is_refused_beside_one_who_accepts() {
    let phone = Phone::start().await.unwrap();
    phone.subscribe("UID_gone");
    let channel = channel(&phone.channel("channel", "me"));
    phone.unsubscribe("UID_gone");
    let answers = push(&channel).await;
    assert_eq!(answers[0].0.id, "UID_gone");
    assert!(matches!(&answers[0].1, Answer::Refused { class: Refusal::Receiver, why } if why.contains("没有关注")));
    assert!(matches!(answers[1].1, Answer::Accepted { .. }));
}

#[tokio::test]
async fn a_refusal_behind_http_200_is_a_refusal() {
    let phone = Phone::start().await.unwrap();
    phone.behave(Habit::Code(1001, "业务异常"));
    let answer = only_answer(&phone).await;
    assert!(matches!(&answer, Answer::Refused { class: Refusal::Other, why } if why == "1001 业务异常"), "{answer:?}");
}

#[tokio::test]
async fn a_wrong_token_is_a_matter_of_the_credential_and_is_not_repeated() {
    let phone = Phone::start().await.unwrap();
    let channel = channel(&phone.channel("channel", "me"));
    phone.set_token("AT_another");
    let answers = push(&channel).await;
    assert!(matches!(answers[0].1, Answer::Refused { class: Refusal::Credential, .. }), "{answers:?}");
    assert!(!format!("{answers:?}{channel:?}").contains(phone::TOKEN));
}

#[tokio::test]
async fn too_many_calls_are_asked_to_come_later() {
    let phone = Phone::start().await.unwrap();
    let channel = channel(&phone.channel("channel", "me"));
    for _ in 0..20 {
        assert!(matches!(push(&channel).await[0].1, Answer::Accepted { .. }));
    }
    assert!(why(&push(&channel).await[0].1).contains("频率"));
}

#[tokio::test]
async fn what_is_too_long_is_a_matter_of_format() {
    let phone = Phone::start().await.unwrap();
    let channel = channel(&phone.channel("channel", "me"));
    let long = Message { html: "x".repeat(40_001), ..message() };
    let answers = channel.send(&long, &channel.receivers()).await;
    assert!(matches!(answers[0].1, Answer::Refused { class: Refusal::Format, .. }), "{answers:?}");
}

#[tokio::test]
async fn a_server_out_of_order_is_tried_later() {
    let phone = Phone::start().await.unwrap();
    for habit in [Habit::Status(500), Habit::Status(502), Habit::Status(429)] {
        phone.behave(habit);
        assert!(why(&only_answer(&phone).await).starts_with("HTTP "));
    }
    phone.behave(Habit::Reset);
    assert!(why(&only_answer(&phone).await).contains("error sending request"));
    phone.behave(Habit::Flood);
    assert!(why(&only_answer(&phone).await).contains("longer than"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let (phone, elsewhere) = (Phone::start().await.unwrap(), Phone::start().await.unwrap());
    phone.behave(Habit::Redirect(format!("{}/api/send/message", elsewhere.url())));
    assert!(why(&only_answer(&phone).await).contains("HTTP 302"));
    assert_eq!(elsewhere.n_connections(), 0);
}

#[tokio::test]
async fn a_service_that_hangs_or_drips_costs_ten_seconds_and_not_more() {
    let phone = Phone::start().await.unwrap();
    phone.behave_next([Habit::Hang, Habit::Drip]);
    let channel = channel(&phone.channel("channel", "me"));
    let (first, second) = tokio::join!(push(&channel), push(&channel));
    for answers in [first, second] {
        assert_eq!(why(&answers[0].1), "no whole answer within 10 s");
    }
}

#[tokio::test]
async fn a_service_that_is_down_is_told_so_and_found_again_on_its_port() {
    let phone = Phone::start().await.unwrap();
    let channel = channel(&phone.channel("channel", "me"));
    assert!(matches!(push(&channel).await[0].1, Answer::Accepted { .. }));
    phone.down().await;
    assert!(why(&push(&channel).await[0].1).contains("onnect"));
    phone.up().await.unwrap();
    assert!(matches!(push(&channel).await[0].1, Answer::Accepted { .. }));
}

mod refused_shapes {
    //! The stand-in refuses what the service would refuse.

    use super::*;
    use std::io::{Read as _, Write as _};

    async fn call(phone: &Phone, body: &str) -> String {
        let (address, body) = (phone.url().replace("http://", ""), body.to_owned());
        let sent = tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            write!(stream, "POST /api/send/message HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        sent.await.unwrap()
    }

    #[tokio::test]
    async fn the_phone_refuses_what_the_service_would_refuse() {
        let phone = Phone::start().await.unwrap();
        phone.without_rate();
        let with = |fields: &str| format!(r#"{{"appToken":"{}",{fields}}}"#, phone::TOKEN);
        for (fields, code) in [
            (r#""content":"x","uids":"UID_me""#, "1005"),
            (r#""content":"x","uids":[1]"#, "1005"),
            (r#""content":"x","topicIds":["7"]"#, "1005"),
            (r#""content":"x","topicIds":[1,2,3,4,5,6]"#, "1001"),
            (r#""content":"x""#, "1001"),
            (r#""content":"","uids":["UID_me"]"#, "1001"),
            (r#""content":"x","uids":["UID_me"],"contentType":"2""#, "1001"),
        ] {
            let answer = call(&phone, &with(fields)).await;
            assert!(answer.contains(&format!("\"code\":{code}")), "{fields}: {answer}");
        }
        let long = with(&format!(r#""content":"x","uids":["UID_me"],"summary":"{}""#, "x".repeat(101)));
        assert!(call(&phone, &long).await.contains("\"code\":1001"));
        assert!(call(&phone, "not json").await.contains("\"code\":1005"));
        assert_eq!(phone.pushes().len(), 0);
        assert!(call(&phone, &with(r#""content":"x","uids":["UID_me"]"#)).await.contains("\"code\":1000"));
    }
}
