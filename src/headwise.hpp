// Headwise: multi-head attention, head by head. The one public include of the C++ core.
#pragma once

#include "attention/head_statistics.hpp"
#include "attention/rotary.hpp"
#include "attention/scaled_dot_product.hpp"
#include "core/context.hpp"
#include "nn/adamw.hpp"
#include "nn/multi_head_attention.hpp"
#include "nn/transformer.hpp"
