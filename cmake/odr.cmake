# Objects keep what g++ knows of each file's types beside the code, and a link that makes nothing of it compares them:
# no type has two definitions. What becomes of the code is the same.
set(odr_compile_flags -flto -ffat-lto-objects)
set(odr_check_flags -flto=auto -Wodr -Werror=odr -Werror=lto-type-mismatch -r -flinker-output=rel)
