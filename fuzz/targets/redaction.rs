#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| olog_proto::fuzz::redaction(bytes));
