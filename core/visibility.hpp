// What a program sees of the shared library.
#pragma once

/// On a namespace in a header for users: what is declared there is exported, all else is hidden. It
/// means the same in the archive and for programs, so that they define nothing.
#define CINCH_PUBLIC [[gnu::visibility("default")]]
