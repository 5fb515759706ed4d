//! Random histories: devices come, go, fall silent, are forgotten; hubs restart.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Move {
    Leave(usize, bool),
    Come(usize, bool),
    Silence(usize),
    Forget(usize),
    Restart,
    Pass(i64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let device = || 0..6_usize;
    let one = prop_oneof![
        4 => (device(), prop::bool::weighted(0.3)).prop_map(|(d, bye)| Move::Leave(d, bye)),
        6 => (device(), any::<bool>()).prop_map(|(d, rebooted)| Move::Come(d, rebooted)),
        2 => device().prop_map(Move::Silence),
        1 => device().prop_map(Move::Forget),
        1 => Just(Move::Restart),
        8 => prop_oneof![0..90_i64, 0..900_i64].prop_map(Move::Pass),
    ];
    prop::collection::vec(one, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nobody_is_lost_twice_nor_back_without_having_been_lost(moves in moves()) {
        let mut world = World::new(6);
        world.devices[4].offline_after = Some(10 * MINUTE);
        world.devices[5].offline_after = None;
        let mut lost = BTreeSet::new();
        for step in moves {
            match step {
                Move::Leave(d, bye) if d < world.devices.len() => world.leaves(d, bye),
                Move::Come(d, rebooted) if d < world.devices.len() => world.comes(d, rebooted),
                Move::Silence(d) if d < world.devices.len() => world.alive[d] = false,
                Move::Forget(d) if d < world.devices.len() && world.devices.len() > 3 => {
                    world.devices.remove(d);
                    world.alive.remove(d);
                    world.look();
                }
                Move::Restart => {
                    world.roll = LivenessTracker::new(world.now);
                    world.look();
                }
                Move::Pass(seconds) => world.pass(seconds),
                _ => {}
            }
            for told in std::mem::take(&mut world.told) {
                let mut words = told.split(' ').skip(1);
                let is_lost = words.next() == Some("lost");
                for name in words.take_while(|w| w.starts_with('d')) {
                    let name = name.to_owned();
                    if is_lost {
                        prop_assert!(name != "d5", "it may be silent for ever");
                        let is_told_again = told.contains(" times ");
                        prop_assert!(lost.insert(name) || is_told_again, "lost twice: {told}");
                    } else {
                        prop_assert!(lost.remove(&name), "back without having been lost: {told}");
                    }
                }
            }
            let members: Vec<i64> = world.open.iter().flat_map(|(_, a)| &a.members).map(|m| m.device).collect();
            prop_assert_eq!(members.iter().collect::<BTreeSet<_>>().len(), members.len(), "in two absences");
            prop_assert!(world.open.iter().all(|(_, a)| !a.members.is_empty()), "an incident without anybody");
            // Who was forgotten is missed no more.
            lost.retain(|name| world.devices.iter().any(|d| d.name == *name));
            let told_lost: BTreeSet<String> = world.open.iter().flat_map(|(_, a)| &a.members).map(|m| m.name.clone()).collect();
            prop_assert_eq!(&told_lost, &lost);
        }
    }
}
