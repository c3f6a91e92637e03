"""Chat templates of the shapes that model families use, in jinja, as a model's file holds them."""

CHATML = """
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor -%}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}
"""

THINKING_CHATML = CHATML.replace(
    "'<|im_start|>assistant\n'",
    "'<|im_start|>assistant\n' ~ ('' if enable_thinking else '<think>\\n\\n</think>\\n\\n')",
)

LLAMA = """
{{- bos_token }}
{%- if messages[0].role == 'system' %}
  {%- set system = messages[0].content | trim %}{% set messages = messages[1:] %}
{%- else %}{% set system = '' %}{% endif %}
{%- set day = strftime_now('%d %b %Y') if strftime_now is defined else 'some day' %}
{{- '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + day + '\n\n' }}
{{- system + '<|eot_id|>' }}
{%- for message in messages %}
  {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
  {{- message.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
  {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""

GEMMA = """
{{- bos_token }}
{%- if messages[0].role == 'system' %}{{ raise_exception('there is no system role') }}{% endif %}
{%- for message in messages %}
  {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
    {{- raise_exception('user and model take turns') }}
  {%- endif %}
  {%- set role = 'model' if message.role == 'assistant' else message.role %}
  {{- '<start_of_turn>' + role + '\n' + message.content | trim + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}
"""

# the system text stands in the newest user's turn, which would change every prompt's beginning
MISTRAL = """
{%- set talk = messages %}
{%- if messages[0].role == 'system' %}
  {%- set system = messages[0].content %}{% set talk = messages[1:] %}
{%- endif %}
{{- bos_token }}
{%- for message in talk %}
  {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
    {{- raise_exception('user and assistant take turns') }}
  {%- elif message.role == 'user' and loop.last and system is defined %}
    {{- '[INST] ' + system + '\n\n' + message.content + '[/INST]' }}
  {%- elif message.role == 'user' %}{{ '[INST] ' + message.content + '[/INST]' }}
  {%- else %}{{ ' ' + message.content + eos_token }}
  {%- endif %}
{%- endfor %}
"""

MINISTRAL = """
{{- bos_token }}
{%- for message in messages %}
  {%- if message.role == 'system' %}
    {{- '[SYSTEM_PROMPT]' + message.content + '[/SYSTEM_PROMPT]' }}
  {%- elif message.role == 'user' %}{{ '[INST]' + message.content + '[/INST]' }}
  {%- else %}{{ message.content + eos_token }}
  {%- endif %}
{%- endfor %}
"""

PHI = """
{%- for message in messages %}
  {{- '<|im_start|>' + message.role + '<|im_sep|>' + message.content + '<|im_end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}
"""

PHI_MINI = """
{%- for message in messages %}
  {{- '<|' + message.role + '|>' + message.content + '<|end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}
"""

# its bars are the full-width ones, as its file has them
DEEPSEEK = """
{{- bos_token }}
{%- for message in messages %}
  {%- if message.role == 'system' %}{{ message.content }}{% endif %}
{%- endfor %}
{%- for message in messages %}
  {%- if message.role == 'user' %}{{ '<\uff5cUser\uff5c>' + message.content }}
  {%- elif message.role == 'assistant' %}
    {{- '<\uff5cAssistant\uff5c>' + message.content.split('</think>')[-1] + eos_token }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<\uff5cAssistant\uff5c><think>\n' }}{% endif %}
"""

ALL = {
    "chatml": CHATML,
    "thinking chatml": THINKING_CHATML,
    "llama": LLAMA,
    "gemma": GEMMA,
    "mistral": MISTRAL,
    "ministral": MINISTRAL,
    "phi": PHI,
    "phi mini": PHI_MINI,
    "deepseek": DEEPSEEK,
}
