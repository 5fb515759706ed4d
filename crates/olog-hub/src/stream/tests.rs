//! Numbers, the ring, and places.

use super::*;
use crate::store::tests::sqlite;

fn watcher(who: &str, address: [u8; 4]) -> Watcher {
    Watcher { who: who.to_owned(), most: 4, address: address.into() }
}

fn silence(n: u64) -> NamedChange {
    NamedChange { change: Change::Silence(n), device: None, task: None }
}

fn subscribed(stream: &Arc<ChangeStream>, after: Option<Position>) -> Subscription {
    let place = stream.place(&watcher("alice", [192, 0, 2, 1])).unwrap();
    stream.subscribe(after, place)
}

#[tokio::test]
async fn who_comes_back_gets_what_came_meanwhile_and_after_a_restart_the_word_to_read_anew() {
    let stream = ChangeStream::new(7);
    let before = stream.position();
    assert_eq!(before.to_string().parse(), Ok(before));
    stream.tell(Some(vec![silence(1), silence(2)]));
    let mut first = subscribed(&stream, Some(before));
    assert!(!first.has_missed());
    let heard = first.heard().await;
    assert_eq!(
        heard.iter().map(|(_, told)| (**told).clone()).collect::<Vec<_>>(),
        [1, 2].map(|n| StreamEvent::Change(silence(n)))
    );
    let (one, _) = heard.first().unwrap();
    let mut second = subscribed(&stream, Some(*one));
    assert_eq!(second.heard().await, heard.get(1..).unwrap());
    for other in ["0000000000000008-1", "0000000000000007-99"] {
        let mut after_restart = subscribed(&stream, Some(other.parse().unwrap()));
        assert!(after_restart.has_missed(), "{other}");
        assert_eq!(after_restart.heard().await, [(first.position(), Arc::new(StreamEvent::Everything))]);
        assert_eq!(after_restart.position(), first.position());
    }
    for no_position in ["", "7", "x-1", "7-x", "7-1-1"] {
        assert_eq!(no_position.parse::<Position>(), Err(()), "{no_position}");
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_to_read_anew_and_the_ring_does_not_grow() {
    let stream = ChangeStream::new(7);
    let mut slow = subscribed(&stream, None);
    for n in 0..3 * RING as u64 {
        stream.tell(Some(vec![silence(n)]));
    }
    assert_eq!(stream.ring().kept.len(), RING);
    assert!(slow.has_missed());
    let heard = slow.heard().await;
    assert_eq!(heard, [(stream.position(), Arc::new(StreamEvent::Everything))], "once, and then from now on");
    stream.tell(Some((0..100).map(silence).collect()));
    assert_eq!(slow.heard().await.len(), PIECE, "and never more than a piece at once");
}

#[tokio::test]
async fn what_is_committed_is_told_with_names_and_what_is_too_much_as_everything() {
    let at = sqlite().await;
    let (stream, stop) = (ChangeStream::new(7), CancellationToken::new());
    let mut workers = tokio::task::JoinSet::new();
    let mut watching = subscribed(&stream, None);
    workers.spawn(stream.clone().run(at.store.clone(), stop.clone()));
    while at.store.changes().n_listeners() == 0 {
        tokio::task::yield_now().await;
    }
    let told = |changes: Vec<Change>| {
        let store = at.store.clone();
        async move {
            let step = move |tx: &mut crate::store::Tx<'_>| {
                changes.iter().for_each(|change| tx.changed(*change));
                Ok(())
            };
            store.write(step).await.unwrap();
        }
    };
    told(vec![Change::Silence(3)]).await;
    assert_eq!(*watching.heard().await.first().unwrap().1, StreamEvent::Change(silence(3)));
    told((0..1_000).map(Change::Device).collect()).await;
    assert_eq!(*watching.heard().await.first().unwrap().1, StreamEvent::Everything);
    stop.cancel();
    workers.join_all().await;
}

#[tokio::test]
async fn while_nobody_watches_nothing_is_kept_and_whoever_comes_back_is_told_so() {
    let stream = ChangeStream::new(7);
    assert!(!stream.is_watched());
    let before = stream.position();
    assert!(stream.is_watched(), "a page was made just now, and its stream comes");
    stream.ring().watched_at = None;
    assert!(!stream.is_watched());
    stream.ring().forget();
    assert!(subscribed(&stream, Some(before)).has_missed());
    let open = subscribed(&stream, None);
    assert!(stream.is_watched() && !open.has_missed());
}

#[test]
fn streams_are_bounded_in_all_for_each_session_and_for_each_address_and_an_end_makes_room() {
    let stream = ChangeStream::new(7);
    let at =
        |n: usize| watcher(&n.to_string(), [10, u8::try_from(n / 200).unwrap(), u8::try_from(n % 200).unwrap(), 1]);
    let mut places: Vec<StreamPlace> = (0..4).map(|_| stream.place(&at(0)).unwrap()).collect();
    assert!(stream.place(&at(0)).is_none(), "a fifth of one session");
    places.pop();
    places.push(stream.place(&at(0)).unwrap());
    let one_address = |n: usize| Watcher { who: format!("w{n}"), ..at(1) };
    let of_one_address: Vec<StreamPlace> =
        (0..OF_ONE_ADDRESS).map(|n| stream.place(&one_address(n)).unwrap()).collect();
    assert!(stream.place(&one_address(OF_ONE_ADDRESS)).is_none());
    drop(of_one_address);
    places.extend((0..STREAMS_MAX - 4).map(|n| stream.place(&at(n + 10)).unwrap()));
    assert_eq!(stream.n_open(), STREAMS_MAX);
    assert!(stream.place(&at(5_000)).is_none());
    places.clear();
    assert_eq!(stream.n_open(), 0);
    assert!(stream.places.taken_is_empty());
}
