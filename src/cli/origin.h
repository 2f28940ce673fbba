/* Where a guest's values come from: its config, its plan, the host's defaults. */
#pragma once

#include "../guest/spec.h"

struct json_object;

/* "from plan small"; "plan small has 256M" where the guest says something else; NULL where nobody else has a say. below: plan_open
 * of the guest's plan. Caller frees. */
char *origin_text(const struct spec *spec, const struct spec *below, const struct key *key);

/* "default", "host", "plan" or "guest". */
const char *origin_name(const struct spec *spec, const struct key *key);

/* {"limits.memory": "plan"}: of all keys that anybody has set. */
struct json_object *origin_json(const struct spec *spec);
