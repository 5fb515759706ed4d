//! Secrets in a file: in its name, and in pieces that are written one after the other.

use crate::world::{World, wait};

#[test]
fn no_secret_reaches_the_spool_by_a_files_name_or_in_pieces() {
    let world = World::new();
    let stored = || format!("{:?}", world.events().iter().map(|event| &event.what).collect::<Vec<_>>());
    world.write("deploy ghp_0123456789abcdefghijABCDEFGHIJ012345.err", "it failed\n");
    wait("the name", || world.events().len() == 1);
    world.append("key.err", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA0\n");
    for n in 1..4 {
        wait("the last piece", || world.events().len() == 1 + n);
        world.append("key.err", &format!("b3BlbnNzaC1rZXktdjEAAAAA{n}\n"));
    }
    wait("the key", || world.events().len() == 5);
    world.append("split.err", "login failed: password=hun");
    wait("the beginning", || world.events().len() == 6);
    world.append("split.err", "ter2pass for bob\n");
    wait("the rest", || world.events().len() == 7);
    for secret in ["ghp_", "0123456789abc", "b3Blbn", "hun", "ter2"] {
        assert!(!stored().contains(secret), "{secret}: {}", stored());
    }
    assert!(stored().contains("deploy ***"), "{}", stored());
}
