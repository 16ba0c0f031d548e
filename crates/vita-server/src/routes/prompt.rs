//! `/prompt`: how much is to do, and something more to do.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::oneshot;
use vita_base::Hint;
use vita_graph::{Plan, Rejection, RejectionKind, validate};
use vita_queue::{Place, QueueError, Submission, Ticket};

use super::trouble_status;
use crate::App;
use crate::body::{json_text, reply};
use crate::wire::prompt::{PromptRequest, accepted, refusal};
use crate::wire::rejection::{node_errors, rejection};

/// `GET /prompt`
pub(super) async fn remaining(State(app): State<Arc<App>>) -> Response {
    reply(&crate::socket::exec_info(app.queue.remaining()))
}

/// `POST /prompt`: checks a workflow and puts it in the queue. It is on disk before this answers.
pub(super) async fn submit(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let request = match PromptRequest::parse(&body) {
        Ok(request) => request,
        Err(refusal) => return refused(&refusal),
    };
    let plan = match check(&app, &request) {
        Ok(plan) => plan,
        Err(found) => {
            if !matches!(request.place, Place::At(_)) {
                app.queue.count_rejected();
            }
            tracing::warn!("A prompt was refused: {found}");
            return refused(&rejection(&found, &app.registry, &*app.host));
        }
    };
    let node_errors = node_errors(&plan.faults, &app.registry, &*app.host);
    match enqueue(&app, request, plan).await {
        Ok(ticket) => {
            tracing::info!("Prompt {} is queued as number {}.", ticket.id, ticket.number);
            reply(&accepted(&ticket, &node_errors))
        }
        Err(error) => {
            let hint = error.hint().unwrap_or_default();
            let body = refusal("queue_error", &error.to_string(), &hint);
            json_text(trouble_status(&error), body.to_string())
        }
    }
}

fn refused(body: &serde_json::Value) -> Response {
    json_text(StatusCode::BAD_REQUEST, body.to_string())
}

fn check(app: &App, request: &PromptRequest) -> Result<Plan, Rejection> {
    match &request.prompt {
        None => Err(Rejection { kind: RejectionKind::NoPrompt, nodes: Default::default() }),
        Some(prompt) => validate(&app.registry, &*app.host, prompt, request.targets.as_deref()),
    }
}

async fn enqueue(app: &App, request: PromptRequest, plan: Plan) -> Result<Ticket, QueueError> {
    let (sender, receiver) = oneshot::channel();
    let submission = Submission {
        id: request.id,
        prompt: plan.prompt,
        extra_data: request.extra_data,
        outputs: plan.outputs,
        place: request.place,
    };
    app.queue.submit_then(submission, move |result| drop(sender.send(result)));
    receiver.await.unwrap_or(Err(QueueError::Closed))
}
