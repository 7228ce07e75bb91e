/* The three files of data/, put into the program by tools/embed. */
#pragma once

#include "base/base.h"

extern const struct sv catalogue_data_providers;
extern const struct sv catalogue_data_derive;
extern const struct sv catalogue_data_spf_snapshot;
