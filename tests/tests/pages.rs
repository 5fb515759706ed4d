//! What people read and type: manual pages, READMEs, and the completion of command lines.

mod completions;
mod manuals;
mod readmes;
