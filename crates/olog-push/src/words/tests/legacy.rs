//! Messages about old clients (olog.py).

use super::*;

#[test]
fn trouble_of_an_old_client_is_told_with_its_name_in_both_languages() {
    for code in ["legacy_name", "legacy_twice", "legacy_clock", "legacy_report"] {
        let mut notice = system(SystemCode::LegacyClient);
        if let Content::System { args, .. } = &mut notice.content {
            args.insert("code".into(), code.into());
        }
        for language in [Language::ZhCn, Language::En] {
            let text = compose(std::slice::from_ref(&notice), &context(language)).message.text;
            assert!(text.contains("comsrv") && text.contains("olog.py") && !text.contains("{$"), "{code}: {text}");
        }
    }
}

#[test]
fn nobody_claims_that_the_machine_of_an_old_client_did_not_reboot() {
    for n in [1, 3] {
        let mut notice = back(n, 0);
        if let Content::DevicesBack { n_rebooted, n_boots_unknown, .. } = &mut notice.content {
            (*n_rebooted, *n_boots_unknown) = (0, n as u64);
        }
        for (language, word) in [(Language::ZhCn, "重启"), (Language::En, "reboot")] {
            let message = compose(std::slice::from_ref(&notice), &context(language)).message;
            assert!(!message.text.contains(word) && !message.summary.contains(word), "{}", message.text);
        }
    }
}
