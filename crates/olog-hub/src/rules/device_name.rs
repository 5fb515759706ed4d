//! Names of devices as people tell them apart. A message names the device first, so no device may look like another one.
//!
//! A name that a device asks for is trimmed and brought to Unicode's NFC. Two names look the same if their skeletons (UTS 39: characters
//! that are easily confused become one) are the same, whatever the case of their letters. Characters that nobody sees are no part of a
//! name at all (`olog_proto::name`). Pure.

use olog_proto::DeviceName;
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::skeleton;

/// The name as the hub keeps it: trimmed, in NFC.
pub fn normal(name: &DeviceName) -> DeviceName {
    name.as_str().trim().nfc().collect::<String>().parse().unwrap_or_else(|_| name.clone())
}

/// How the name looks: the same for names that people confuse.
pub fn look(name: &str) -> String {
    let folded = name.trim().to_lowercase();
    let look: String = skeleton(&folded).collect();
    look.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_confuse_look_the_same() {
        for other in ["Honest", "HONEST", " honest ", "h\u{43e}nest", "\u{4bb}onest", "hon\u{435}st", "ｈonest"] {
            assert_eq!(look(other), look("honest"), "{other:?}");
        }
        assert_eq!(look("cafe\u{301}"), look("caf\u{e9}"));
        for other in ["honest2", "honesty", "备份", "on-est"] {
            assert_ne!(look(other), look("honest"), "{other:?}");
        }
        assert_ne!(look("备份1"), look("备份2"));
    }

    #[test]
    fn a_name_is_kept_trimmed_and_in_nfc() {
        let name: DeviceName = " cafe\u{301} ".parse().unwrap();
        assert_eq!(normal(&name).as_str(), "caf\u{e9}");
    }

    #[test]
    fn invisible_characters_are_no_part_of_a_name() {
        for mark in ["\u{200b}", "\u{2060}", "\u{ad}", "\u{fe0f}", "\u{61c}", "\u{e0041}", "\u{3164}"] {
            assert!(format!("honest{mark}").parse::<DeviceName>().is_err(), "{mark:?}");
        }
    }
}
