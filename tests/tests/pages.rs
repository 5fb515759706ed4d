//! What people read and type: manual pages, READMEs, the book, and the completion of command lines.

mod book;
mod completions;
mod language;
mod manuals;
mod messages;
mod readmes;
mod reference;
mod translations;
