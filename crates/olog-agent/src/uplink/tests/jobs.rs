//! Schedules of jobs: sent to a hub that takes them, and to no other; whoever asked hears what became of them.

use olog_proto::job::{JobAnswer, JobAnswers, JobOutcome, JobSchedule, ProposedJob};

use super::*;
use crate::uplink::jobs::{NotProposed, propose};

fn jobs() -> Vec<ProposedJob> {
    let when = JobSchedule::Calendar { schedule: "@daily".into(), zone: "UTC".into() };
    vec![ProposedJob { task: "dump".parse().unwrap(), when, slack: 0, grace: None }]
}

impl World {
    /// A session with a hub that takes jobs.
    async fn accepting(&mut self) -> TestHub {
        let mut hub = self.accept().await;
        hub.hello(hub.key.public()).await;
        let auth = hub.auth().await;
        let mut welcome = hub.welcome_frame(&auth, 0, 10, 20_000);
        if let HubFrame::Welcome { accepts, .. } = &mut welcome {
            *accepts = vec!["something newer".into(), olog_proto::frame::JOBS.into()];
        }
        hub.say(&welcome).await;
        self.link(|link| link.connected).await;
        hub
    }
}

#[tokio::test]
async fn jobs_are_answered_and_events_go_on_before_the_answer() {
    let mut world = World::new();
    let mut hub = world.accepting().await;
    let to = world.propose.clone();
    let answer = JobAnswer { task: "dump".parse().unwrap(), outcome: JobOutcome::Proposed, detail: String::new() };
    let answers = JobAnswers { device: "comsrv".parse().unwrap(), answers: vec![answer] };
    let conversation = async {
        assert_eq!(hub.frame().await, Some(AgentFrame::Jobs { jobs: jobs() }));
        world.put(1);
        assert_eq!(hub.numbers().await, [1]);
        hub.say(&HubFrame::Jobs(answers.clone())).await;
    };
    let (asked, ()) = within(async { tokio::join!(propose(&to, jobs()), conversation) }).await;
    assert_eq!(asked, Ok(answers.clone()));
    // One that nobody asked for is no word of olog.2.
    hub.say(&HubFrame::Jobs(answers)).await;
    let link = world.link(|link| link.trouble.is_some()).await;
    assert!(link.trouble.unwrap().contains("an answer to jobs that were not sent"));
    world.stopped().await;
}

#[tokio::test]
async fn a_hub_that_does_not_take_jobs_gets_none() {
    let mut world = World::new();
    let mut hub = world.welcome(0, 10, 20_000).await;
    world.link(|link| link.connected).await;
    assert_eq!(within(propose(&world.propose, jobs())).await, Err(NotProposed::TooOld));
    world.put(1);
    assert_eq!(hub.numbers().await, [1], "the first frame after auth");
    world.stopped().await;
}

#[tokio::test]
async fn who_waits_hears_that_the_session_ended_and_nothing_is_sent_again() {
    let mut world = World::new();
    let mut hub = world.accepting().await;
    let to = world.propose.clone();
    let conversation = async {
        assert_eq!(hub.frame().await, Some(AgentFrame::Jobs { jobs: jobs() }));
        drop(hub);
    };
    let (asked, ()) = within(async { tokio::join!(propose(&to, jobs()), conversation) }).await;
    assert_eq!(asked, Err(NotProposed::NotConnected));
    let mut hub = world.accepting().await;
    world.put(1);
    assert_eq!(hub.numbers().await, [1]);
    world.stopped().await;
}
