@echo off
rem Starts the launcher with the first Python here that it can run with. Made to be double-clicked.
setlocal
pushd "%~dp0" || goto failed

for %%P in ("py -3" "python" "python3" "py -3.13" "py -3.12" "py -3.11" "py -3.10") do (
    %%~P bootstrap.py --help >nul 2>nul && set "PYTHON=%%~P" && goto found
)
echo error: No Python 3.10 to 3.13 was found. Get one from https://www.python.org/downloads/
echo and tick "Add python.exe to PATH" when it is installed. Then start this again.
goto failed

:found
%PYTHON% launcher.py %*
if %errorlevel%==0 exit /b 0

:failed
pause
exit /b 1
