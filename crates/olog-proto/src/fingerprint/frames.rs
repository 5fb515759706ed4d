//! Finds the lines of an error that say what happened, and leaves out those that only say where: stack frames, the head of a
//! traceback, the code that it quotes.
//!
//! A frame is recognised by its own form, in the notation of its language, so that a split block yields the same fingerprints as
//! the whole. Where the form is not enough (the code that Python quotes under a frame), the lines around it decide.

/// The lines that say what happened, in order; blank ones are none.
pub(super) fn message_lines(text: &str) -> impl Iterator<Item = &str> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let n_torn = torn_traceback(&lines);
    let mut quotes_code = false;
    lines.into_iter().enumerate().filter_map(move |(i, line)| {
        let is_quoted = std::mem::replace(&mut quotes_code, is_python_frame(line)) && is_indented(line);
        (i >= n_torn && !is_quoted && !is_frame(line)).then_some(line)
    })
}

fn is_indented(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

/// How many lines at the start are the rest of a Python traceback whose head stood in an earlier text.
fn torn_traceback(lines: &[&str]) -> usize {
    let n = lines.iter().take_while(|line| is_indented(line)).count();
    let is_torn =
        lines.iter().take(n).any(|line| is_python_frame(line)) || lines.get(n).is_some_and(|l| is_exception(l));
    if is_torn { n } else { 0 }
}

/// `File "/srv/a.py", line 3, in f`
fn is_python_frame(line: &str) -> bool {
    line.trim_start().starts_with("File \"") && line.contains("\", line ")
}

/// `ValueError: no such key`, `requests.exceptions.ConnectionError: …`: a traceback's last line.
fn is_exception(line: &str) -> bool {
    let name = line.split_once(':').map_or(line, |(name, _)| name).trim_end();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '.' || c == '_');
    is_name && ["Error", "Exception", "Warning", "Exit", "Interrupt"].iter().any(|end| name.ends_with(end))
}

fn is_frame(line: &str) -> bool {
    let bare = line.trim();
    let indented = is_indented(line);
    ["Traceback (most recent call last):", "stack backtrace:"].contains(&bare)
        || bare.starts_with("note: run with `RUST_BACKTRACE")
        || bare.starts_with("note: Some details are omitted, run with `RUST_BACKTRACE")
        || is_python_frame(bare)
        // Java, Node, .NET, and Rust's second line of a frame.
        || indented && bare.strip_prefix("at ").is_some_and(|place| place.contains(['.', '(', '/', '<', ':']))
        // Java's `... 23 more`.
        || bare.starts_with("... ") && (bare.ends_with(" more") || bare.ends_with(" omitted"))
        // Ruby.
        || indented && bare.strip_prefix("from ").is_some_and(|place| place.starts_with(['/', '(', '<']))
        // Perl.
        || indented && bare.contains(" called at ") && bare.contains(" line ")
        || is_numbered_frame(bare, indented)
        || is_go_frame(bare)
        || is_kernel_frame(bare)
}

/// gdb's and PHP's `#3 …`, Rust's `   3: core::panicking::panic`.
fn is_numbered_frame(bare: &str, indented: bool) -> bool {
    let is_place = |rest: &str| {
        let place = rest.trim_start();
        rest.starts_with(' ')
            && (["0x", "/", "{main}", "[internal function]"].iter().any(|start| place.starts_with(start))
                || place.contains(") at "))
    };
    let is_symbol = |rest: &str| {
        rest.strip_prefix(": ").is_some_and(|symbol| symbol.contains("::") || !symbol.contains(char::is_whitespace))
    };
    bare.strip_prefix('#').and_then(after_digits).is_some_and(is_place)
        || indented && after_digits(bare).is_some_and(is_symbol)
}

fn after_digits(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < text.len()).then_some(rest)
}

/// `goroutine 1 [running]:`, `main.(*T).work(0xc000010000, 0x3)`, `created by main.main in goroutine 1`.
fn is_go_frame(bare: &str) -> bool {
    if bare.starts_with("goroutine ") && bare.ends_with("]:") {
        return true;
    }
    if let Some(maker) = bare.strip_prefix("created by ") {
        let (function, rest) = maker.split_once(' ').unwrap_or((maker, ""));
        return function.contains('.') && (rest.is_empty() || rest.starts_with("in goroutine "));
    }
    let Some(call) = bare.strip_suffix(')') else { return false };
    // The arguments are the last group, and they are addresses.
    let Some((function, arguments)) = call.rsplit_once('(') else { return false };
    let is_address = |c: char| c.is_ascii_hexdigit() || matches!(c, 'x' | ',' | ' ' | '{' | '}' | '.' | '?');
    let is_function = function.contains('.') && !function.contains(char::is_whitespace) && !function.ends_with('.');
    is_function && arguments.chars().all(is_address)
}

/// The kernel's `? dump_stack+0x6d/0x8b`, after its time stamp.
fn is_kernel_frame(bare: &str) -> bool {
    let after_stamp = match bare.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((stamp, rest)) if stamp.trim().chars().all(|c| c.is_ascii_digit() || c == '.') => rest.trim(),
        _ => bare,
    };
    let place = after_stamp.strip_prefix("? ").unwrap_or(after_stamp);
    let place = place.split_once(" [").map_or(place, |(place, _)| place);
    !place.contains(char::is_whitespace)
        && place.split_once("+0x").is_some_and(|(_, rest)| {
            rest.split_once("/0x").is_some_and(|(offset, size)| {
                !offset.is_empty() && (offset.chars().chain(size.chars())).all(|c| c.is_ascii_hexdigit())
            })
        })
}
