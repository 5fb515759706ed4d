//! Sentences of generated pages and their Chinese translations: text files with an English line and, indented, its translation.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The languages of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

pub(super) const LANGUAGES: [Language; 2] = [Language::English, Language::Chinese];

impl Language {
    /// The folder of its chapters.
    pub(super) fn book(self) -> PathBuf {
        let name = match self {
            Language::English => "en",
            Language::Chinese => "zh-CN",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/book").join(name).join("src")
    }
}

/// Sentences in one language.
pub(super) struct Translations {
    language: Language,
    file: &'static str,
    sentences: BTreeMap<&'static str, &'static str>,
}

impl Translations {
    /// Of the manual pages and the pages of verbs.
    pub(super) fn of_verbs(language: Language) -> Translations {
        let text = include_str!("../../../packaging/manual.zh-CN.txt");
        Translations { language, file: "packaging/manual.zh-CN.txt", sentences: read(text) }
    }

    /// Of the rows of keys and metrics.
    pub(super) fn of_rows(language: Language) -> Translations {
        let text = include_str!("../../../docs/book/zh-CN/reference.txt");
        Translations { language, file: "docs/book/zh-CN/reference.txt", sentences: read(text) }
    }

    pub(super) fn language(&self) -> Language {
        self.language
    }

    /// Every sentence that has a translation.
    pub(super) fn english(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.sentences.keys().copied()
    }

    /// The translation, if there is one.
    pub(super) fn find(&self, english: &str) -> Option<&'static str> {
        self.sentences.get(english).copied()
    }

    /// The sentence in this language.
    pub(super) fn get(&self, english: &str) -> String {
        match (self.language, self.find(english)) {
            (Language::English, _) => english.to_owned(),
            (Language::Chinese, Some(chinese)) => chinese.to_owned(),
            (Language::Chinese, None) => panic!("{} has no translation of:\n{english}", self.file),
        }
    }
}

fn read(text: &'static str) -> BTreeMap<&'static str, &'static str> {
    let mut sentences = BTreeMap::new();
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    while let Some(english) = lines.next() {
        let chinese = lines.next().and_then(|line| line.strip_prefix("    "));
        let chinese = chinese.unwrap_or_else(|| panic!("no translation under {english:?}"));
        assert!(sentences.insert(english, chinese).is_none(), "{english:?} is there twice");
    }
    sentences
}
