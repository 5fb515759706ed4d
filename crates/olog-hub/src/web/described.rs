//! What the description of the API says of answers that are no rows.

/// What [`Problem`](super::Problem) becomes.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only described: `Problem` writes it")]
pub(super) struct ProblemBody {
    /// Always `about:blank` (RFC 9457).
    r#type: String,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// What went wrong, and what to do.
    detail: String,
}

/// Statuses of every address beside 200.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only described")]
pub(super) enum Mistake {
    /// It has not changed since the answer whose `ETag` the request has in `If-None-Match`. Each list and row has one.
    #[response(status = 304)]
    Unchanged,
    /// The query or the number is none.
    #[response(status = 400, content_type = "application/problem+json")]
    Query(ProblemBody),
    /// No session and no token.
    #[response(status = 401, content_type = "application/problem+json")]
    Nobody(ProblemBody),
    /// The scope is too small.
    #[response(status = 403, content_type = "application/problem+json")]
    Scope(ProblemBody),
    /// There is no such thing.
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(ProblemBody),
    /// It is over already.
    #[response(status = 409, content_type = "application/problem+json")]
    Over(ProblemBody),
    /// Too many wrong tokens from this address; of `stream`: too many streams, and `Retry-After` says when to try again.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(ProblemBody),
    /// The store does not answer now.
    #[response(status = 503, content_type = "application/problem+json")]
    Busy(ProblemBody),
}

/// Statuses of an address with a body.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only described")]
pub(super) enum Unfit {
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    Large(ProblemBody),
    /// The body is no JSON, or is not said to be.
    #[response(status = 415, content_type = "application/problem+json")]
    NoJson(ProblemBody),
    /// What the body asks for may not be.
    #[response(status = 422, content_type = "application/problem+json")]
    Refused(ProblemBody),
}
