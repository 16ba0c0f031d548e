//! Prompts that are refused, and the exact bodies that say so. `data/bad_prompts.json` holds one case a line; its
//! answers follow the interface's description, and the words of failed conversions were printed by Python.

mod common;

use serde_json::Value as Json;

use common::Server;

#[tokio::test]
async fn each_bad_prompt_gets_its_exact_answer() {
    let cases: Json = serde_json::from_str(include_str!("data/bad_prompts.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= 60, "{}", cases.len());
    let server = Server::new();
    let mut wrong = Vec::new();
    for case in cases {
        let answer = server.post("/prompt", &case["body"].to_string()).await;
        if u64::from(answer.status.as_u16()) != case["status"] || answer.json() != case["answer"] {
            wrong.push(format!(
                "{}\n  expected {}\n  got {} {}",
                case["name"],
                case["answer"],
                answer.status,
                answer.text()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert_eq!(server.get("/queue").await.text(), r#"{"queue_running":[],"queue_pending":[]}"#);
}
