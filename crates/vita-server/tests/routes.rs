//! Every route of this half, answer by answer, without a socket.

mod common;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value as Json, json};

use common::{NOW_MS, Server};

fn image_prompt() -> Json {
    json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 64.9, "height": "64", "batch_size": true, "color": 0 } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": 5 }, "_meta": { "title": "Save" } },
    })
}

fn video_prompt() -> Json {
    json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 64, "batch_size": 5, "color": 0 } },
        "3": { "class_type": "CreateVideo", "inputs": { "images": ["1", 0], "fps": 16 } },
        "2": { "class_type": "SaveVideo", "inputs": { "video": ["3", 0], "filename_prefix": "v", "format": "auto" } },
    })
}

fn failing_prompt() -> Json {
    json!({
        "1": { "class_type": "Failing", "inputs": { "when": "now" } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    })
}

#[tokio::test]
async fn paths_exist_bare_and_under_api_as_in_comfyui() {
    let server = Server::new();
    for (path, bare, api) in [
        ("/prompt", 200, 200),
        ("/queue", 200, 200),
        ("/history", 200, 200),
        ("/history/none", 200, 200),
        ("/object_info", 200, 200),
        ("/object_info/None", 200, 200),
        ("/embeddings", 200, 200),
        ("/system_stats", 200, 200),
        ("/features", 200, 200),
        ("/i18n", 200, 200),
        ("/global_subgraphs", 200, 200),
        ("/global_subgraphs/none", 200, 200),
        ("/node_replacements", 200, 200),
        ("/jobs", 404, 200),
        ("/jobs/none", 404, 404),
        ("/internal/logs", 200, 404),
        ("/internal/logs/raw", 200, 404),
        ("/none", 404, 404),
    ] {
        assert_eq!(server.get(path).await.status, bare, "{path}");
        assert_eq!(server.get(&format!("/api{path}")).await.status, api, "/api{path}");
    }
    assert_eq!(server.get("/api/none").await.text(), "");
}

#[tokio::test]
async fn methods_that_a_path_does_not_have_are_named() {
    let server = Server::new();
    let request = Request::put("/queue").body(Body::empty()).unwrap();
    let answer = server.send(request).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (405, "405: Method Not Allowed"));
    let allow = answer.headers["allow"].to_str().unwrap();
    for method in ["GET", "HEAD", "POST"] {
        assert!(allow.contains(method), "{allow}");
    }

    let head = server.send(Request::head("/queue").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

#[tokio::test]
async fn commands_are_answered_with_nothing() {
    let server = Server::new();
    for (path, body) in [
        ("/queue", r#"{"clear": true}"#),
        ("/queue", r#"{"delete": ["none", 7]}"#),
        ("/queue", "{}"),
        ("/history", r#"{"clear": 1}"#),
        ("/history", r#"{"delete": []}"#),
        ("/interrupt", ""),
        ("/interrupt", "{}"),
        ("/interrupt", "no json"),
        ("/interrupt", r#"{"prompt_id": "none"}"#),
        ("/free", r#"{"unload_models": true, "free_memory": false}"#),
    ] {
        let answer = server.post(path, body).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0), "{path} {body}");
        assert!(!answer.headers.contains_key("content-type"), "{path} {body}");
    }
    for (path, body) in
        [("/queue", ""), ("/queue", "[]"), ("/history", "{"), ("/free", "null"), ("/api/jobs/cancel", "{}")]
    {
        let answer = server.post(path, body).await;
        assert_eq!(answer.status, 400, "{path} {body}");
        assert!(answer.json()["error"].is_string(), "{path} {body}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let server = Server::with(|config| config.max_upload_bytes = 1000);
    let long = json!({ "prompt": {}, "extra_data": { "x": "y".repeat(2000) } }).to_string();
    assert_eq!(server.post("/prompt", &long).await.status, 413);
    assert_eq!(server.get("/features").await.json()["max_upload_size"], 1000);
}

#[tokio::test]
async fn a_prompt_is_accepted_whatever_its_content_type_and_shown_with_its_values_converted() {
    let server = Server::new();
    let body = json!({
        "prompt": image_prompt(),
        "client_id": "me",
        "prompt_id": 77,
        "extra_data": {
            "extra_pnginfo": { "workflow": { "id": "w1" } },
            "api_key_comfy_org": "secret",
        },
    });
    let request = Request::post("/api/prompt")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(body.to_string()))
        .unwrap();
    let answer = server.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(answer.json(), json!({ "prompt_id": "77", "number": 0, "node_errors": {} }));

    let item = json!([
        0,
        "77",
        {
            "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 64, "batch_size": 1, "color": 0 } },
            "2": {
                "class_type": "SaveImage",
                "inputs": { "images": ["1", 0], "filename_prefix": "5" },
                "_meta": { "title": "Save" },
            },
        },
        { "extra_pnginfo": { "workflow": { "id": "w1" } }, "client_id": "me", "create_time": NOW_MS },
        ["2"],
    ]);
    assert_eq!(server.get("/queue").await.json(), json!({ "queue_running": [], "queue_pending": [item] }));
    assert_eq!(server.get("/prompt").await.json(), json!({ "exec_info": { "queue_remaining": 1 } }));
}

#[tokio::test]
async fn numbers_follow_the_counter_which_refused_prompts_advance() {
    let server = Server::new();
    let mut numbers = Vec::new();
    for extra in [
        json!({}),
        json!({ "prompt": {} }),
        json!({ "front": true }),
        json!({ "number": "3" }),
        json!({ "number": -5.5 }),
        json!({ "number": null, "front": 0 }),
    ] {
        let mut body = json!({ "prompt": image_prompt() });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let answer = server.post("/prompt", &body.to_string()).await;
        numbers.push(if answer.status == 200 {
            answer.json()["number"].clone()
        } else {
            answer.status.as_u16().into()
        });
    }
    assert_eq!(numbers, [json!(0), json!(400), json!(-2), json!(3), json!(-5.5), json!(3)]);
    let queue = server.get("/queue").await.json();
    let order: Vec<_> = queue["queue_pending"].as_array().unwrap().iter().map(|item| item[0].clone()).collect();
    assert_eq!(order, [json!(-5.5), json!(-2), json!(0), json!(3), json!(3)]);
}

#[tokio::test]
async fn the_queue_is_held_and_reordered() {
    let mut server = Server::new();
    for id in ["a", "b", "c"] {
        server.submit(&json!({ "prompt": image_prompt(), "prompt_id": id })).await;
    }
    server.post("/queue", r#"{"paused": true}"#).await;
    server.post("/queue", r#"{"front": ["c", "none", "b"]}"#).await;
    server.run_all();
    let queue = server.get("/queue").await.json();
    let order: String =
        queue["queue_pending"].as_array().unwrap().iter().map(|item| item[1].as_str().unwrap()).collect();
    assert_eq!((order.as_str(), &queue["paused"]), ("cba", &json!(true)));

    server.post("/queue", r#"{"paused": false}"#).await;
    server.run_all();
    assert_eq!(server.get("/queue").await.text(), r#"{"queue_running":[],"queue_pending":[]}"#);
    let history = server.get("/history").await.json();
    assert_eq!(history.as_object().unwrap().keys().map(String::as_str).collect::<String>(), "cba");
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_shape_of_prompt_errors() {
    let server = Server::new();
    for (body, kind) in [
        ("", "invalid_json"),
        ("[]", "invalid_json"),
        (r#"{"prompt": {}, "number": "x"}"#, "invalid_number"),
        (r#"{"prompt": {}, "number": "inf"}"#, "invalid_number"),
        (r#"{"prompt": {}, "prompt_id": {}}"#, "invalid_prompt_id"),
        (r#"{"prompt": {}, "extra_data": []}"#, "invalid_extra_data"),
        (r#"{"prompt": {}, "partial_execution_targets": "9"}"#, "invalid_partial_execution_targets"),
        (r#"{"prompt": []}"#, "no_prompt"),
        (r#"{"prompt": null}"#, "no_prompt"),
    ] {
        let answer = server.post("/prompt", body).await;
        assert_eq!(answer.status, 400, "{body}");
        let answer = answer.json();
        assert_eq!(answer["error"]["type"], kind, "{body}");
        assert_eq!(answer["node_errors"], json!({}), "{body}");
    }
}

#[tokio::test]
async fn an_accepted_prompt_tells_which_outputs_it_leaves_out() {
    let server = Server::new();
    let mut prompt = image_prompt();
    prompt["3"] = json!({ "class_type": "SaveImage", "inputs": { "filename_prefix": "x" } });
    let answer = server.post("/prompt", &json!({ "prompt": prompt }).to_string()).await.json();
    assert_eq!(answer["node_errors"]["3"]["dependent_outputs"], json!(["3"]));
    assert_eq!(answer["node_errors"]["3"]["class_type"], "SaveImage");
    assert_eq!(answer["node_errors"]["3"]["errors"][0]["type"], "required_input_missing");
    assert_eq!(server.get("/queue").await.json()["queue_pending"][0][4], json!(["2"]));
}

#[tokio::test]
async fn a_circle_is_named() {
    let server = Server::new();
    let prompt = json!({
        "1": { "class_type": "BatchImagesNode", "inputs": { "images.image0": ["3", 0], "images.image1": ["3", 0] } },
        "3": { "class_type": "BatchImagesNode", "inputs": { "images.image0": ["1", 0], "images.image1": ["1", 0] } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    });
    let answer = server.post("/prompt", &json!({ "prompt": prompt }).to_string()).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["type"], "prompt_outputs_failed_validation");
    assert_eq!(answer.json()["error"]["details"], "The links go round in a circle: 1 -> 3 -> 1");
}

#[tokio::test]
async fn history_has_the_result_its_status_and_its_messages() {
    let mut server = Server::new();
    let id = server.submit(&json!({ "prompt": image_prompt(), "prompt_id": "a" })).await;
    assert_eq!(server.get("/history/a").await.json(), json!({}));
    server.run_all();

    let image = json!({ "filename": "ComfyUI_00001_.png", "subfolder": "", "type": "output" });
    let entry = server.get(&format!("/history/{id}")).await.json()["a"].clone();
    assert_eq!(entry["prompt"][1], "a");
    assert_eq!(entry["prompt"][4], json!(["2"]));
    assert_eq!(entry["outputs"], json!({ "2": { "images": [image] } }));
    assert_eq!(
        entry["status"],
        json!({
            "status_str": "success",
            "completed": true,
            "messages": [
                ["execution_start", { "prompt_id": "a", "timestamp": NOW_MS }],
                ["execution_cached", { "nodes": [], "prompt_id": "a", "timestamp": NOW_MS }],
                ["execution_success", { "prompt_id": "a", "timestamp": NOW_MS }],
            ],
        })
    );
    let meta = json!({ "node_id": "2", "display_node": "2", "parent_node": null, "real_node_id": "2" });
    assert_eq!(entry["meta"], json!({ "2": meta }));

    // The same again is found in the cache, with the same file.
    server.submit(&json!({ "prompt": image_prompt(), "prompt_id": "b" })).await;
    server.run_all();
    let entry = server.get("/history/b").await.json()["b"].clone();
    assert_eq!(entry["status"]["messages"][1][1]["nodes"], json!(["1", "2"]));
    assert_eq!(entry["outputs"], json!({ "2": { "images": [image] } }));
}

#[tokio::test]
async fn a_failure_is_told_in_full() {
    let mut server = Server::new();
    server.submit(&json!({ "prompt": failing_prompt(), "prompt_id": "f" })).await;
    server.run_all();
    let status = server.get("/history/f").await.json()["f"]["status"].clone();
    assert_eq!((&status["status_str"], &status["completed"]), (&json!("error"), &json!(false)));
    let message = &status["messages"][2];
    assert_eq!(message[0], "execution_error");
    assert_eq!(
        message[1],
        json!({
            "prompt_id": "f",
            "node_id": "1",
            "node_type": "Failing",
            "executed": [],
            "exception_message": "as asked\n\nhint: ask otherwise\n",
            "exception_type": "ValueError",
            "traceback": message[1]["traceback"],
            "current_inputs": { "when": ["now"] },
            "current_outputs": [],
            "timestamp": NOW_MS,
        })
    );
    let job = server.get("/api/jobs/f").await.json();
    assert_eq!(job["status"], "failed");
    assert_eq!(job["execution_error"], message[1]);
}

#[tokio::test]
async fn parts_of_the_history_are_oldest_first() {
    let mut server = Server::new();
    for id in ["a", "b", "c", "d"] {
        server.submit(&json!({ "prompt": image_prompt(), "prompt_id": id })).await;
    }
    server.run_all();
    for (query, expected) in [
        ("", "abcd"),
        ("?max_items=2", "cd"),
        ("?max_items=2&offset=1", "bc"),
        ("?offset=3", "d"),
        ("?max_items=2&offset=-1", "cd"),
        ("?offset=9", ""),
    ] {
        let history = server.get(&format!("/history{query}")).await.json();
        let ids: String = history.as_object().unwrap().keys().cloned().collect();
        assert_eq!(ids, expected, "{query}");
    }
    assert_eq!(server.get("/history?max_items=x").await.status, 400);

    server.post("/history", r#"{"delete": ["b", "none"]}"#).await;
    assert_eq!(server.get("/history").await.json().as_object().unwrap().len(), 3);
    server.post("/history", r#"{"clear": true}"#).await;
    assert_eq!(server.get("/history").await.text(), "{}");
}

#[tokio::test]
async fn scripts_find_videos_where_they_look_and_the_page_sees_none_twice() {
    let mut server = Server::new();
    server.submit(&json!({ "prompt": video_prompt(), "prompt_id": "v" })).await;
    server.run_all();
    let video = json!({ "filename": "ComfyUI_00001_.mp4", "subfolder": "video", "type": "output" });
    let plain = json!({ "images": [video], "animated": [true] });
    let with_videos = json!({ "images": [video], "animated": [true], "videos": [video] });

    for path in ["/history/v", "/history", "/api/history/v"] {
        assert_eq!(server.get(path).await.json()["v"]["outputs"]["2"], with_videos, "{path}");
        let request = Request::get(path).header("comfy-user", "").body(Body::empty()).unwrap();
        assert_eq!(server.send(request).await.json()["v"]["outputs"]["2"], plain, "{path}");
    }
    let job = server.get("/api/jobs/v").await.json();
    assert_eq!(job["outputs"]["2"], plain);
    assert_eq!(job["outputs_count"], 1);
}

#[tokio::test]
async fn jobs_of_every_state_are_listed_as_pages_check_them() {
    let mut server = Server::new();
    let workflow = json!({ "extra_pnginfo": { "workflow": { "id": "w" } } });
    server.submit(&json!({ "prompt": video_prompt(), "prompt_id": "done", "extra_data": workflow })).await;
    server.submit(&json!({ "prompt": failing_prompt(), "prompt_id": "failed" })).await;
    server.run_all();
    server.submit(&json!({ "prompt": image_prompt(), "prompt_id": "next" })).await;

    let done = json!({
        "id": "done",
        "status": "completed",
        "priority": 0,
        "create_time": NOW_MS,
        "execution_start_time": NOW_MS,
        "execution_end_time": NOW_MS,
        "outputs_count": 1,
        "previewable_outputs_count": 1,
        "preview_output": {
            "filename": "ComfyUI_00001_.mp4",
            "subfolder": "video",
            "type": "output",
            "nodeId": "2",
            "mediaType": "images",
        },
        "workflow_id": "w",
    });
    let page = server.get("/api/jobs?status=completed,failed,cancelled&limit=1&offset=0&sort_order=asc").await.json();
    assert_eq!(page["pagination"], json!({ "offset": 0, "limit": 1, "total": 2, "has_more": true }));
    assert_eq!(page["jobs"].as_array().unwrap().len(), 1);
    let page = server.get("/api/jobs?workflow_id=w").await.json();
    assert_eq!(
        page,
        json!({ "jobs": [done], "pagination": { "offset": 0, "limit": null, "total": 1, "has_more": false } })
    );

    let pending = server.get("/api/jobs?status=in_progress,pending&limit=200&offset=0").await.json();
    let next = json!({ "id": "next", "status": "pending", "priority": 2, "create_time": NOW_MS, "outputs_count": 0 });
    assert_eq!(pending["jobs"], json!([next]));

    let detail = server.get("/api/jobs/next").await.json();
    assert_eq!(detail["workflow"]["prompt"]["2"]["class_type"], "SaveImage");
    assert_eq!(detail["workflow"]["extra_data"], json!({ "create_time": NOW_MS }));
    let detail = server.get("/api/jobs/done").await.json();
    assert_eq!(detail["execution_status"]["status_str"], "success");
    let none = server.get("/api/jobs/none").await;
    assert_eq!((none.status.as_u16(), none.json()), (404, json!({ "error": "Job not found" })));

    for query in ["status=lost", "sort_by=name", "sort_order=up", "limit=0", "limit=x", "offset=x"] {
        let answer = server.get(&format!("/api/jobs?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.json()["error"].is_string(), "{query}");
    }
    assert_eq!(server.get("/api/jobs?offset=-3").await.json()["pagination"]["offset"], 0);
}

#[tokio::test]
async fn jobs_are_cancelled_by_id() {
    let server = Server::new();
    for id in ["a", "b"] {
        server.submit(&json!({ "prompt": image_prompt(), "prompt_id": id })).await;
    }
    assert_eq!(server.post("/api/jobs/a/cancel", "").await.json(), json!({ "cancelled": true }));
    assert_eq!(server.post("/api/jobs/a/cancel", "").await.json(), json!({ "cancelled": false }));
    assert_eq!(
        server.post("/api/jobs/cancel", r#"{"job_ids": ["none", "b"]}"#).await.json(),
        json!({ "cancelled": true })
    );
    let answer = server.post("/api/jobs/cancel", r#"{"job_ids": ["b", 7]}"#).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["invalid_ids"]), (400, &json!([7])));
    assert_eq!(server.get("/prompt").await.json()["exec_info"]["queue_remaining"], 0);
}

#[tokio::test]
async fn nodes_of_both_forms_are_described_as_comfyui_does() {
    let server = Server::new();
    let info = server.get("/object_info").await.json();
    assert_eq!(info.as_object().unwrap().len(), 17);
    assert_eq!(
        info["SaveImage"],
        json!({
            "input": {
                "required": {
                    "images": ["IMAGE", { "tooltip": "What is saved." }],
                    "filename_prefix": ["STRING", { "default": "ComfyUI" }],
                },
                "hidden": { "prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO" },
            },
            "input_order": { "required": ["images", "filename_prefix"], "hidden": ["prompt", "extra_pnginfo"] },
            "output": [],
            "output_is_list": [],
            "output_name": [],
            "name": "SaveImage",
            "display_name": "Save Image",
            "description": "Saves images.",
            "python_module": "nodes",
            "category": "image",
            "output_node": true,
        })
    );
    assert_eq!(
        info["CreateVideo"],
        json!({
            "input": {
                "required": {
                    "images": ["IMAGE", { "tooltip": "The frames." }],
                    "fps": ["FLOAT", { "default": 30.0, "min": 1.0, "max": 120.0, "step": 1.0 }],
                },
                "optional": { "audio": ["AUDIO", {}] },
            },
            "input_order": { "required": ["images", "fps"], "optional": ["audio"] },
            "output": ["VIDEO"],
            "output_is_list": [false],
            "output_name": ["VIDEO"],
            "output_tooltips": [null],
            "output_matchtypes": null,
            "name": "CreateVideo",
            "display_name": "Create Video",
            "description": "",
            "python_module": "comfy_extras.nodes_video",
            "category": "image/video",
            "output_node": false,
            "deprecated": false,
            "experimental": false,
            "api_node": false,
        })
    );
    for (pointer, expected) in [
        ("/KSampler/input/required/model", json!(["MODEL"])),
        (
            "/KSampler/input/required/seed",
            json!(["INT", { "default": 0, "min": 0, "max": 18446744073709551615_u64, "control_after_generate": true }]),
        ),
        ("/KSampler/input/required/steps", json!(["INT", { "default": 20, "min": 1, "max": 10000 }])),
        (
            "/KSampler/input/required/cfg",
            json!(["FLOAT", { "default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01 }]),
        ),
        ("/KSampler/input/required/scheduler", json!([["simple", "karras", "beta"]])),
        ("/KSampler/display_name", json!("KSampler")),
        ("/LoadImage/input/required/image", json!([["a (1).png", "a.png"], { "image_upload": true }])),
        (
            "/SaveVideo/input/required/format",
            json!(["COMBO", { "default": "auto", "multiselect": false, "options": ["auto", "mp4"] }]),
        ),
        ("/SaveVideo/input/hidden", json!({ "prompt": ["PROMPT"], "extra_pnginfo": ["EXTRA_PNGINFO"] })),
        (
            "/ComfySwitchNode/input/required/on_false",
            json!(["COMFY_MATCHTYPE_V3", { "template": { "template_id": "switch", "allowed_types": "*" }, "lazy": true }]),
        ),
        ("/ComfySwitchNode/output_matchtypes", json!(["switch"])),
        ("/ComfySwitchNode/display_name", json!(null)),
        (
            "/BatchImagesNode/input/required/images",
            json!(["COMFY_AUTOGROW_V3", { "template": {
                "input": { "required": { "image": ["IMAGE", {}] } },
                "prefix": "image",
                "min": 2,
                "max": 50,
            } }]),
        ),
        (
            "/ResizeImageMaskNode/input/required/resize_type/1/options/0",
            json!({
                "key": "scale dimensions",
                "inputs": { "required": { "width": ["INT", { "default": 512, "min": 0, "max": 16384, "step": 1 }] } },
            }),
        ),
        (
            "/PrimitiveInt/input/required/value",
            json!(["INT", { "min": -9223372036854775807_i64, "max": 9223372036854775807_i64, "control_after_generate": true }]),
        ),
        ("/PrimitiveString/input/required/value", json!(["STRING", { "multiline": false }])),
    ] {
        assert_eq!(info.pointer(pointer), Some(&expected), "{pointer}");
    }

    let text = server.get("/object_info/KSampler").await.text();
    assert!(text.contains(r#""max":18446744073709551615"#), "{text}");
    assert!(text.contains(r#""default":8.0"#), "{text}");
    assert_eq!(server.get("/object_info/None").await.text(), "{}");
    assert_eq!(server.get("/embeddings").await.json(), json!(["easynegative", "sub.d/ugly", "plain"]));
}

#[tokio::test]
async fn the_system_says_what_it_is() {
    let server = Server::new();
    let stats = server.get("/system_stats").await.json();
    assert_eq!(
        stats,
        json!({
            "system": {
                "os": std::env::consts::OS,
                "ram_total": 68719476736_u64,
                "ram_free": 34359738368_u64,
                "comfyui_version": "0.8.0",
                "required_frontend_version": "1.35.9",
                "python_version": "none (native program)",
                "pytorch_version": "none (native program)",
                "embedded_python": false,
                "argv": ["vitascope", "serve"],
                "vitascope_version": "0.1.0",
            },
            "devices": [{
                "name": "cpu",
                "type": "cpu",
                "index": null,
                "vram_total": 68719476736_u64,
                "vram_free": 34359738368_u64,
                "torch_vram_total": 68719476736_u64,
                "torch_vram_free": 34359738368_u64,
            }],
        })
    );
    assert_eq!(
        server.get("/features").await.json(),
        json!({
            "supports_preview_metadata": true,
            "supports_progress_text_metadata": true,
            "max_upload_size": 104857600,
            "assets": false,
        })
    );
    for (path, expected) in
        [("/i18n", "{}"), ("/global_subgraphs", "{}"), ("/global_subgraphs/x", "null"), ("/node_replacements", "{}")]
    {
        assert_eq!(server.get(path).await.text(), expected, "{path}");
    }
}

#[tokio::test]
async fn the_log_shows_local_times_and_keeps_what_is_pinned() {
    let server = Server::new();
    let now = server.app.surroundings.now();
    server.app.logs.pin(now, "For direct API calls, use token=abc");
    for line in 0..301 {
        server.app.logs.push(now, &format!("line {line}"));
    }
    let raw = server.get("/internal/logs/raw").await.json();
    assert_eq!(raw["entries"].as_array().unwrap().len(), 301);
    let pinned = json!({ "t": "2026-01-02T04:04:05.000000", "m": "For direct API calls, use token=abc\n" });
    assert_eq!(raw["entries"][0], pinned);
    assert_eq!(raw["entries"][1]["m"], "line 1\n");
    assert!(raw["size"]["cols"].is_u64() && raw["size"]["rows"].is_u64());

    let text = server.get("/internal/logs").await.json();
    let expected =
        "2026-01-02T04:04:05.000000 - For direct API calls, use token=abc\n2026-01-02T04:04:05.000000 - line 1\n";
    assert!(text.as_str().unwrap().starts_with(expected));

    let patch = |body: &str| Request::patch("/internal/logs/subscribe").body(Body::from(body.to_owned())).unwrap();
    assert_eq!(server.send(patch(r#"{"clientId": "none", "enabled": true}"#)).await.status, 200);
    assert_eq!(server.send(patch(r#"{"enabled": true}"#)).await.status, 400);
}
