//! Who notices that the hub is gone: an external watchdog that expects its heartbeat, and the devices.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use olog_journeys::{daemon::wait_for, world::World};

/// An external watchdog at this address; the number is the HTTP status that it answers.
fn somebody() -> (String, Arc<AtomicU16>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ping/a-secret", listener.local_addr().unwrap());
    let status = Arc::new(AtomicU16::new(500));
    let answers = status.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut asked = Vec::new();
            let mut bytes = [0; 1024];
            while !asked.ends_with(b"\r\n\r\n") {
                match stream.read(&mut bytes) {
                    Ok(n @ 1..) => asked.extend_from_slice(&bytes[..n]),
                    _ => break,
                }
            }
            let status = answers.load(Ordering::Relaxed);
            let reply = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            // A client that hung up gets no answer.
            drop(stream.write_all(reply.as_bytes()));
        }
    });
    (url, status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_nobody_takes_is_told_and_so_is_its_end() {
    let (url, status) = somebody();
    let world = World::new().await;
    let mut hub = world.hub_with("", &format!("[watchdog]\nurl = \"{url}\"\nevery = \"1s\"\n"));
    let push = world.push("HEARTBEAT failing").await;
    assert!(push.text().contains("HTTP 500") && !push.text().contains("a-secret"), "{}", push.text());
    // The message is recorded, so a restart neither repeats it nor forgets to tell the end. The agent is stopped, not killed: a kill before the
    // answer is recorded may repeat the message.
    hub.daemon.stop();
    hub.start();
    status.store(204, Ordering::Relaxed);
    world.push("HEARTBEAT ok").await;
    assert_eq!(world.n_pushes("HEARTBEAT failing"), 1, "{}", world.phone.story());
    assert!(!hub.daemon.log_text().contains("a-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_tells_once_that_its_hub_is_gone_and_once_that_it_is_back() {
    let world = World::new().await;
    let mut hub = world.hub();
    let channel = world.phone.channel("push.channel", "me");
    let mut pi = world.agent_off("pi", "", &format!("[push]\nafter = \"1s\"\n{channel}"));
    pi.daemon.env("LC_ALL", "en_US.UTF-8");
    pi.join(&hub);
    pi.start();
    pi.wait_connected();
    hub.daemon.kill();
    world.push("HUB unreachable pi").await;
    let log = || pi.daemon.log_text();
    wait_for("the push is on record", log, || log().contains("pushed by this device").then_some(()));
    // The message is not repeated, whichever daemon restarts; other errors in the meantime are pushed without delay.
    pi.daemon.stop();
    pi.start();
    pi.write("svc.err", "nobody else hears this\n");
    world.push("nobody else hears this").await;
    hub.start();
    world.push("HUB back pi").await;
    world.all_told(&pi).await;
    let n = (world.n_pushes("HUB unreachable pi"), world.n_pushes("HUB back pi"));
    assert_eq!(n, (1, 1), "{}", world.phone.story());
}
