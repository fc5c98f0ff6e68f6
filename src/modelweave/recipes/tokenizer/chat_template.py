"""Chat templates: by name, as text, or the one that most inputs have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...checkpoints.tensors import Checkpoint
from ...errors import RecipeError, unknown
from ...text.json_text import parse_json

TEMPLATES = {
    "alpaca": (
        "{%- for message in messages -%}"
        "{%- if message['role'] == 'system' -%}{{ message['content'] + '\\n\\n' }}"
        "{%- elif message['role'] == 'user' -%}{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}"
        "{%- else -%}{{ '### Response:\\n' + message['content'] + eos_token + '\\n\\n' }}{%- endif -%}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '### Response:\\n' }}{%- endif -%}"
    ),
    "chatml": (
        "{%- for message in messages -%}"
        "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
    ),
    "exaone": (
        "{%- if messages and messages[0]['role'] != 'system' -%}{{ '[|system|][|endofturn|]\\n' }}{%- endif -%}"
        "{%- for message in messages -%}"
        "{{ '[|' + message['role'] + '|]' + message['content'] + ('\\n' if message['role'] == 'user' else '[|endofturn|]\\n') }}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '[|assistant|]' }}{%- endif -%}"
    ),
    "llama3": (
        "{{- bos_token -}}"
        "{%- for message in messages -%}"
        "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif -%}"
    ),
    "mistral": (
        "{{- bos_token -}}"
        "{%- set lead = namespace(text='', turns=0) -%}"
        "{%- for message in messages -%}"
        "{%- if loop.first and message['role'] == 'system' -%}{%- set lead.text = message['content'] + '\\n\\n' -%}"
        "{%- elif message['role'] != ('assistant' if lead.turns % 2 else 'user') -%}"
        "{{ raise_exception('expected user and assistant in turn after at most one system message, got ' + message['role']) }}"
        "{%- else -%}"
        "{%- if message['role'] == 'user' -%}{{ ' [INST] ' + lead.text + message['content'] + ' [/INST]' }}{%- set lead.text = '' -%}"
        "{%- else -%}{{ ' ' + message['content'] + eos_token }}{%- endif -%}"
        "{%- set lead.turns = lead.turns + 1 -%}"
        "{%- endif -%}"
        "{%- endfor -%}"
    ),
}


def chat_template_text(setting: str, checkpoints: Sequence[Checkpoint]) -> str | None:
    """The Jinja text for a recipe's `chat_template`: `auto`, one of TEMPLATES, or the text itself; None when auto finds none."""
    if setting == "auto":
        counted = Counter(text for text in map(template_of, checkpoints) if text)
        return counted.most_common(1)[0][0] if counted else None
    if setting in TEMPLATES:
        return TEMPLATES[setting]
    if "{" not in setting:
        raise RecipeError(unknown("chat_template", setting, ("auto", *TEMPLATES)) + ", or Jinja text")
    return setting


def template_of(checkpoint: Checkpoint) -> str | None:
    """The chat template beside a checkpoint, from its own file or the tokenizer's config."""
    names = checkpoint.side_files()
    if "chat_template.jinja" in names:
        return checkpoint.side_file("chat_template.jinja").decode("utf-8", "replace").strip()
    for name in ("chat_template.json", "tokenizer_config.json"):
        value = _mapping(checkpoint.side_file(name)).get("chat_template") if name in names else None
        if isinstance(value, list):
            value = next((e.get("template") for e in value if isinstance(e, Mapping) and e.get("name") == "default"), None)
        if isinstance(value, str):
            return value.strip()
    return None


def with_chat_template(files: Mapping[str, bytes], text: str) -> dict[str, bytes]:
    """The side files with the template in its own file, and inside tokenizer_config.json where there is one.

    Raises CheckpointError where that file is damaged.
    """
    result = {name: data for name, data in files.items() if name != "chat_template.json"}
    result["chat_template.jinja"] = text.encode()
    if "tokenizer_config.json" in result:
        config = {**parse_json(result["tokenizer_config.json"], "the result's tokenizer_config.json"), "chat_template": text}
        result["tokenizer_config.json"] = json.dumps(config, ensure_ascii=False, indent=2).encode()
    return result


def _mapping(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
