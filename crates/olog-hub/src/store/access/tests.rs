//! Users, sessions and tokens on both databases.

use olog_proto::Timestamp;

use super::{sessions, tokens, users};
use crate::rules::access::AccessScope;
use crate::store::tests::{TestStore, stores};

const NOW: Timestamp = Timestamp(1_780_000_000_000);

fn session(hash: &str, user: i64) -> sessions::NewSession {
    let (address, agent) = ("192.0.2.1".to_owned(), "a browser".to_owned());
    sessions::NewSession { hash: hash.to_owned(), user, is_full: true, address, agent }
}

#[tokio::test]
async fn a_removed_user_leaves_nothing_to_come_in_by() {
    for TestStore { store, .. } in stores().await {
        store
            .write(|tx| {
                assert!(users::set_setup_link(tx, "link", NOW.plus(10), NOW)?);
                assert!(users::is_setup_link(tx, "link", NOW)? && !users::is_setup_link(tx, "link", NOW.plus(10))?);
                assert!(users::drop_setup_link(tx)? && !users::drop_setup_link(tx)?, "used once");
                let alice = users::add(tx, "alice", AccessScope::Act, "hash", NOW)?.unwrap();
                assert_eq!(users::add(tx, "alice", AccessScope::Admin, "other", NOW)?, None, "the name is taken");
                assert!(!users::set_setup_link(tx, "link", NOW.plus(10), NOW)?, "there is a user");
                users::propose_totp(tx, alice, "SECRET")?;
                users::confirm_totp(tx, alice, 7, &["one".to_owned(), "two".to_owned()])?;
                assert!(
                    !users::use_step(tx, alice, 7)?
                        && users::use_step(tx, alice, 8)?
                        && !users::use_step(tx, alice, 8)?
                );
                assert!(users::use_recovery_code(tx, alice, "one")? && !users::use_recovery_code(tx, alice, "one")?);
                assert_eq!(users::n_recovery_codes(tx, alice)?, 1);
                sessions::begin(tx, &session("cookie", alice), NOW)?;
                sessions::know_browser(tx, "browser", alice, NOW)?;
                assert_eq!(
                    users::list(tx)?.iter().map(|user| (user.totp, user.sessions)).collect::<Vec<_>>(),
                    [(true, 1)]
                );
                users::remove(tx, alice)?;
                assert_eq!(sessions::get(tx, "cookie")?, None);
                assert!(!sessions::is_known_browser(tx, "browser", alice, NOW)?);
                assert_eq!((users::by_name(tx, "alice")?, users::n_recovery_codes(tx, alice)?), (None, 0));
                Ok(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn sessions_of_a_user_are_bounded_and_end_together() {
    for TestStore { store, .. } in stores().await {
        store
            .write(|tx| {
                let alice = users::add(tx, "alice", AccessScope::Read, "hash", NOW)?.unwrap();
                for n in 0..60 {
                    sessions::begin(tx, &session(&format!("cookie{n}"), alice), NOW.plus(n))?;
                    sessions::know_browser(tx, &format!("browser{n}"), alice, NOW.plus(n))?;
                }
                assert_eq!(sessions::of_user(tx, alice)?.len(), 50);
                assert_eq!(sessions::get(tx, "cookie9")?, None, "the oldest ended");
                sessions::seen(tx, "cookie59", "192.0.2.2", NOW.plus(99))?;
                assert_eq!(sessions::get(tx, "cookie59")?.map(|session| session.address).as_deref(), Some("192.0.2.2"));
                assert_eq!(sessions::count_wrong_code(tx, "cookie59")?, 1);
                assert_eq!(sessions::end_all(tx, alice, "cookie59")?, 49);
                assert!(sessions::end(tx, "cookie59")? && !sessions::end(tx, "cookie59")?);
                Ok(())
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_token_is_found_by_its_hash_until_it_is_revoked() {
    for TestStore { store, .. } in stores().await {
        store
            .write(|tx| {
                let (name, hash, made_by) = ("ci".to_owned(), "hash".to_owned(), "root".to_owned());
                let new = tokens::NewToken { name, hash, scope: AccessScope::Act, made_by, expires_at: None };
                assert!(tokens::add(tx, &new, NOW)? && !tokens::add(tx, &new, NOW)?, "the name is taken");
                let token = tokens::by_hash(tx, "hash")?.unwrap();
                tokens::used(tx, token.id, NOW.plus(1))?;
                let expected = tokens::Token { used_at: Some(NOW.plus(1)), ..token };
                assert_eq!((tokens::list(tx)?, tokens::count(tx)?), (vec![expected], 1));
                assert!(tokens::revoke(tx, "ci")? && !tokens::revoke(tx, "ci")?);
                assert_eq!(tokens::by_hash(tx, "hash")?, None);
                Ok(())
            })
            .await
            .unwrap();
    }
}
